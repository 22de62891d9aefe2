// One PGlite instance is one database with one backend: who owns it now, and who listens to which channel.
import { messages, query } from './wire.mjs';

export class Database {
  #db; #owner = null; #waiting = []; #connections = new Set();
  status = 'I'; // of the backend: I idle, T in a transaction, E in a failed one

  constructor(db, version) { this.#db = db; this.version = version; }

  join(connection) { this.#connections.add(connection); }

  /** A connection is gone: undo what it left; the last one out resets the session for the next. */
  async leave(connection) {
    this.#connections.delete(connection);
    if (this.#db.closed) return;
    await this.take(connection);
    try {
      if (this.status !== 'I') await this.raw(query('rollback'), connection);
      for (const name of connection.statements) await this.raw(query(`deallocate "${name}"`), connection);
      if (this.#connections.size === 0) await this.raw(query("discard all; set timezone='UTC'"), connection);
    } finally { this.give(connection); }
  }

  /** Wait until the backend is this connection's; it keeps it until `give`. */
  take(connection) {
    if (this.#owner === null || this.#owner === connection) { this.#owner = connection; return Promise.resolve(); }
    return new Promise((resolve) => this.#waiting.push({ connection, resolve }));
  }

  give(connection) {
    if (this.#owner !== connection) return;
    const next = this.#waiting.shift();
    this.#owner = next?.connection ?? null;
    next?.resolve();
  }

  /** Run whole messages; return the answer without notifications, which go to whoever listens. */
  async raw(buffer, connection) {
    const answer = Buffer.from(await this.#db.execProtocolRaw(new Uint8Array(buffer)));
    const own = [], notified = [];
    for (const { type, body, raw } of messages(answer)) {
      if (type === 'A') { notified.push([body.toString('utf8', 4, body.indexOf(0, 4)), raw]); continue; }
      if (type === 'Z') { this.status = String.fromCharCode(body[0]); connection.answered = true; }
      own.push(raw);
    }
    for (const [channel, raw] of notified) {
      for (const one of this.#connections) if (one.channels.has(channel)) one.send(raw);
    }
    return Buffer.concat(own);
  }

  /** Run `COPY ... FROM STDIN` whose data has arrived, through PGlite's file /dev/blob. */
  async copyIn(sql, chunks, connection) {
    await this.#db._handleBlob(new Blob(chunks));
    try { return await this.raw(query(sql.replace(/\bfrom\s+stdin\b/i, "FROM '/dev/blob'")), connection); }
    finally { await this.#db._cleanupBlob(); }
  }

  async close() {
    for (const connection of this.#connections) connection.end();
    await this.#db.close();
  }
}
