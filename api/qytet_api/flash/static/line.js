// A serial port as a stream of bytes with deadlines: opened, read into a bounded buffer, reset, lost, closed.

import { explained, Problem, whyNotOpened } from "./problem.js";

const BAUD = 115200; // MicroPython's console
const MOST = 1 << 20; // bytes kept for a reader that does not come
const RESET_MS = 100;
const CLOSE_MS = 2000;

export function wait(ms) {
  return new Promise((done) => setTimeout(done, ms));
}

export class Line {
  constructor(port) {
    this.port = port;
    this.onData = null; // gets what arrives, in place of the buffer
    this.buffer = new Uint8Array(0);
    this.waiting = null;
    this.failure = null;
    this.closing = false;
  }

  async open() {
    try {
      await this.port.open({ baudRate: BAUD, bufferSize: 1 << 16 });
    } catch (error) {
      throw whyNotOpened(error);
    }
    this.loop = this.read();
  }

  async read() {
    while (this.port.readable && !this.closing) {
      this.reader = this.port.readable.getReader();
      try {
        for (;;) {
          const { value, done } = await this.reader.read();
          if (done) break;
          this.arrived(value);
        }
      } catch (error) {
        // A framing error or an overrun leaves the port usable, and gives a new `readable`.
        if (error?.name === "NetworkError" || !this.port.readable) this.fail(explained(error));
      } finally {
        this.reader.releaseLock();
      }
    }
    if (!this.closing) this.fail(new Problem("unplugged"));
  }

  arrived(data) {
    if (this.onData) {
      this.onData(data);
      return;
    }
    const joined = new Uint8Array(this.buffer.length + data.length);
    joined.set(this.buffer);
    joined.set(data, this.buffer.length);
    this.buffer = joined.length > MOST ? joined.slice(-MOST) : joined;
    this.wake();
  }

  fail(problem) {
    this.failure ??= problem;
    this.wake();
  }

  wake() {
    const waiting = this.waiting;
    this.waiting = null;
    waiting?.();
  }

  // Resolves with what `find(buffer)` gives: how many bytes to take, or -1 for not yet.
  async take(find, ms) {
    const until = performance.now() + ms;
    for (;;) {
      const count = find(this.buffer);
      if (count >= 0) {
        const taken = this.buffer.slice(0, count);
        this.buffer = this.buffer.slice(count);
        return taken;
      }
      if (this.failure) throw this.failure;
      const left = until - performance.now();
      if (left <= 0) throw new Problem("silent", { said: this.tail() });
      await this.news(left);
    }
  }

  news(ms) {
    return new Promise((done) => {
      const timer = setTimeout(done, ms);
      this.waiting = () => {
        clearTimeout(timer);
        done();
      };
    });
  }

  tail() {
    return new TextDecoder().decode(this.buffer.slice(-200)).trim();
  }

  forget() {
    this.buffer = new Uint8Array(0);
  }

  async write(data) {
    if (this.failure) throw this.failure;
    if (!this.port.writable) throw new Problem("unplugged");
    const writer = this.port.writable.getWriter();
    try {
      await writer.write(data);
    } catch (error) {
      throw explained(error);
    } finally {
      writer.releaseLock();
    }
  }

  // RTS pulls EN low; DTR would pull IO0 low and lead into the loader.
  async reset() {
    try {
      await this.port.setSignals({ dataTerminalReady: false, requestToSend: true });
      await wait(RESET_MS);
      this.forget(); // what the program before it said
      await this.port.setSignals({ dataTerminalReady: false, requestToSend: false });
    } catch (error) {
      throw explained(error);
    }
  }

  async close() {
    this.closing = true;
    await Promise.race([this.finish(), wait(CLOSE_MS)]);
  }

  async finish() {
    try {
      await this.reader?.cancel();
    } catch {
      // It was lost or let go of already.
    }
    await this.loop;
    try {
      await this.port.close();
    } catch {
      // A port that is gone is closed.
    }
  }
}
