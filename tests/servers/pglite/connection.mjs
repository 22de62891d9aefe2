// One client: its packets in order, its own names of prepared statements and channels, its COPY in progress.
import { complete, failure, greeting, message, prefixed, query, ready, startupParameters, text } from './wire.mjs';

const SSL_REQUEST = 80877103, GSS_REQUEST = 80877104, CANCEL_REQUEST = 80877102;
const COPY_IN = /^\s*copy\b[\s\S]*\bfrom\s+stdin\b/i;
const CREATE_DATABASE = /^\s*create\s+database\s+"?(\w+)"?\s*;?\s*$/i;
const DROP_DATABASE = /^\s*drop\s+database\s+(?:if\s+exists\s+)?"?(\w+)"?[^;]*;?\s*$/i;
const LISTEN = /^\s*listen\s+"?(\w+)"?\s*;?\s*$/i, UNLISTEN = /^\s*unlisten\s+(?:"?(\w+)"?|\*)\s*;?\s*$/i;
const DEALLOCATE = /^\s*deallocate\s+(?:prepare\s+)?"?(\w+)"?\s*;?\s*$/i;
let count = 0;

export class Connection {
  statements = new Set(); channels = new Set(); answered = false;
  #id = ++count; #prefix = `c${this.#id}_`; #socket; #server; #database = null;
  #buffer = Buffer.alloc(0); #batch = []; #copy = null; #work = Promise.resolve();

  constructor(socket, server) {
    this.#socket = socket; this.#server = server;
    socket.on('data', (data) => {
      socket.pause(); // bounded: no more is read until this is answered
      this.#work = this.#work.then(() => this.#receive(data)).catch((error) => { console.error(error); socket.destroy(); })
        .finally(() => socket.resume());
    });
    socket.on('error', () => {});
    socket.on('close', () => { this.#work = this.#work.finally(() => this.#database?.leave(this)).catch(console.error); });
  }

  send(buffer) { if (this.#socket.writable) this.#socket.write(buffer); }
  end() { this.#socket.end(); }

  async #receive(data) {
    this.#buffer = this.#buffer.length ? Buffer.concat([this.#buffer, data]) : data;
    while (!this.#socket.destroyed) {
      const head = this.#database ? 1 : 0; // the start-up packet alone has no type
      if (this.#buffer.length < head + 4) return;
      const end = head + this.#buffer.readInt32BE(head);
      if (this.#buffer.length < end) return;
      const packet = this.#buffer.subarray(0, end);
      this.#buffer = this.#buffer.subarray(end);
      if (this.#database) await this.#on(String.fromCharCode(packet[0]), packet.subarray(5));
      else await this.#start(packet.readInt32BE(4), packet.subarray(8));
    }
  }

  async #start(code, body) {
    if (code === SSL_REQUEST || code === GSS_REQUEST) return this.send(Buffer.from('N'));
    if (code === CANCEL_REQUEST) return this.end();
    const parameters = startupParameters(body), name = parameters.database ?? parameters.user;
    const database = this.#server.find(name);
    if (!database) { this.send(failure('3D000', `database "${name}" does not exist`)); return this.end(); }
    this.#database = database;
    database.join(this);
    this.send(greeting(this.#id, database.version));
  }

  async #on(type, body) {
    if (type === 'X') return this.end();
    if (this.#copy) return this.#onCopy(type, body);
    if (type === 'Q') return this.#onQuery(body.toString('utf8', 0, body.length - 1));
    this.#batch.push(this.#renamed(type, body));
    if (type !== 'S' && type !== 'H') return;
    const batch = Buffer.concat(this.#batch);
    this.#batch = [];
    return this.#run((database) => database.raw(batch, this));
  }

  /** The backend is shared: statements of different clients must not meet under one name. */
  #renamed(type, body) {
    const named = (offset) => message(type, prefixed(body, offset, this.#prefix, this.statements));
    if (type === 'P') { this.#watch(body.toString('utf8', body.indexOf(0) + 1, body.indexOf(0, body.indexOf(0) + 1))); return named(0); }
    if (type === 'B') return named(body.indexOf(0) + 1);
    if ((type === 'D' || type === 'C') && body[0] === 0x53) {
      const renamed = named(1);
      if (type === 'C') this.statements.delete(this.#prefix + body.toString('utf8', 1, body.length - 1));
      return renamed;
    }
    return message(type, body);
  }

  async #onQuery(sql) {
    if (COPY_IN.test(sql)) return this.#beginCopy(sql);
    const create = sql.match(CREATE_DATABASE), drop = sql.match(DROP_DATABASE), unlisten = sql.match(UNLISTEN);
    if (create) return this.#answer('CREATE DATABASE', () => this.#server.create(create[1]));
    if (drop) return this.#answer('DROP DATABASE', () => this.#server.drop(drop[1]));
    if (unlisten) { // others may still listen: only forget it here
      if (unlisten[1]) this.channels.delete(unlisten[1]); else this.channels.clear();
      return this.#answer('UNLISTEN', async () => {});
    }
    this.#watch(sql);
    const names = this.#deallocated(sql);
    if (names) sql = names.map((name) => `deallocate "${name}"`).join(';') || 'select';
    return this.#run((database) => database.raw(query(sql), this));
  }

  #watch(sql) { const found = sql.match(LISTEN); if (found) this.channels.add(found[1]); }

  #deallocated(sql) {
    const found = sql.match(DEALLOCATE);
    if (!found) return null;
    const names = found[1].toLowerCase() === 'all' ? [...this.statements] : [this.#prefix + found[1]];
    names.forEach((name) => this.statements.delete(name));
    return names;
  }

  async #answer(tag, work) {
    let answer = complete(tag);
    try { await work(); } catch (error) { answer = failure(error.code ?? 'XX000', error.message); }
    this.send(Buffer.concat([answer, ready('I')]));
  }

  #beginCopy(sql) {
    this.#copy = { sql, chunks: [] };
    const format = /\bbinary\b/i.test(sql) ? 1 : 0;
    this.send(message('G', Buffer.from([format, 0, 0])));
  }

  async #onCopy(type, body) {
    const { sql, chunks } = this.#copy;
    if (type === 'd') { chunks.push(Buffer.from(body)); return; }
    if (type !== 'c' && type !== 'f') return; // Flush and Sync mean nothing here
    this.#copy = null;
    if (type === 'c') return this.#run((database) => database.copyIn(sql, chunks, this));
    const reason = `COPY from stdin failed: ${body.toString('utf8', 0, body.length - 1)}`.replaceAll("'", "''");
    const raise = `do $qytet$ begin raise exception using errcode = '57014', message = '${reason}'; end $qytet$`;
    return this.#run((database) => database.raw(query(raise), this));
  }

  /** Run on the backend, which stays this client's until it is idle again after a ReadyForQuery. */
  async #run(work) {
    await this.#database.take(this);
    this.answered = false;
    try { this.send(await work(this.#database)); }
    finally { if (this.answered && this.#database.status === 'I') this.#database.give(this); }
  }
}
