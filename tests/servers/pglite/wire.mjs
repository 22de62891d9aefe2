// The PostgreSQL wire protocol (version 3), as far as a server in front of another server needs it.

export function message(type, body = Buffer.alloc(0)) {
  const head = Buffer.alloc(5);
  head.write(type, 0, 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

export const text = (value) => Buffer.from(`${value}\0`);

export const query = (sql) => message('Q', text(sql));

export const SYNC = message('S');

export const complete = (tag) => message('C', text(tag));

export const ready = (status) => message('Z', Buffer.from(status));

/** An ErrorResponse with a severity, an SQLSTATE and words. */
export function failure(code, words) {
  const fields = { S: 'ERROR', V: 'ERROR', C: code, M: words };
  const parts = Object.entries(fields).flatMap(([key, value]) => [Buffer.from(key), text(value)]);
  return message('E', Buffer.concat([...parts, Buffer.from([0])]));
}

/** Yield { type, body, raw } of each message in a buffer that holds whole messages. */
export function* messages(buffer) {
  for (let at = 0; at + 5 <= buffer.length; ) {
    const end = at + 1 + buffer.readInt32BE(at + 1);
    yield { type: String.fromCharCode(buffer[at]), body: buffer.subarray(at + 5, end), raw: buffer.subarray(at, end) };
    at = end;
  }
}

/** The answer to a start-up packet, up to the first ReadyForQuery; no password is asked (loopback, tests only). */
export function greeting(id, version) {
  const parameters = {
    server_version: version, server_encoding: 'UTF8', client_encoding: 'UTF8', DateStyle: 'ISO, MDY', TimeZone: 'UTC',
    IntervalStyle: 'postgres', integer_datetimes: 'on', standard_conforming_strings: 'on', is_superuser: 'on',
    session_authorization: 'postgres', application_name: '', in_hot_standby: 'off', default_transaction_read_only: 'off',
  };
  const key = Buffer.alloc(8);
  key.writeInt32BE(id, 0);
  const states = Object.entries(parameters).map(([name, value]) => message('S', Buffer.concat([text(name), text(value)])));
  return Buffer.concat([message('R', Buffer.alloc(4)), ...states, message('K', key), ready('I')]);
}

/** The parameters of a start-up packet's body: zero-terminated names and values in turn. */
export function startupParameters(body) {
  const words = body.toString('utf8').split('\0');
  return Object.fromEntries(Array.from({ length: words.length >> 1 }, (_, i) => [words[2 * i], words[2 * i + 1]]));
}

/** Put `prefix` before the zero-terminated name at `offset`; an empty name (the unnamed statement) stays. */
export function prefixed(body, offset, prefix, names) {
  const name = body.toString('utf8', offset, body.indexOf(0, offset));
  if (!name) return body;
  names.add(prefix + name);
  return Buffer.concat([body.subarray(0, offset), Buffer.from(prefix), body.subarray(offset)]);
}
