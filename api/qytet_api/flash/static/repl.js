// MicroPython's raw prompt and its raw paste mode: code goes in with flow control, output and error come back apart.
// https://docs.micropython.org/en/latest/reference/repl.html#raw-mode-and-raw-paste-mode

import { utf8 } from "./bytes.js";
import { Problem } from "./problem.js";

const CTRL_A = 0x01;
const CTRL_B = 0x02;
const CTRL_C = 0x03;
const CTRL_D = 0x04;
const CTRL_E = 0x05;
const MORE = 0x01; // the board has room for another window
const RAW = "raw REPL; CTRL-B to exit\r\n>";
const PROMPT_MS = 25000; // a first start makes the file system
const BOOT_MS = 800; // from reset to the program; a board without one is at its prompt by then
const TRY_MS = 250;
const RAW_MS = 1000;
const ANSWER_MS = 5000;

const BOOT_SAYS = [
  ["invalid header: 0x", "no_program"],
  ["filesystem appears to be corrupted", "bad_filesystem"],
  ["waiting for download", "in_loader"],
];

export class Repl {
  constructor(line) {
    this.line = line;
  }

  // After a reset: interrupts whatever begins to run until the prompt is there, and goes to the raw one.
  async enter() {
    const until = performance.now() + PROMPT_MS;
    for (let ms = BOOT_MS; !(await this.raw(ms)); ms = TRY_MS) {
      const said = new TextDecoder().decode(this.line.buffer);
      const known = BOOT_SAYS.find(([words]) => said.includes(words));
      if (known) throw new Problem(known[1]);
      if (performance.now() > until) throw new Problem("no_prompt", { said: this.line.tail() });
      await this.line.write(Uint8Array.of(0x0d, CTRL_C, CTRL_B)); // B: out of the raw prompt, if it was there
    }
  }

  // A prompt may be that of before the reset, read late: who does not answer is asked anew.
  async raw(ms) {
    if (!(await this.hears(">>> ", ms))) return false;
    await this.line.write(Uint8Array.of(CTRL_A));
    return this.hears(RAW, RAW_MS);
  }

  async hears(words, ms) {
    try {
      await this.until(words, ms, true);
      return true;
    } catch (error) {
      if (error instanceof Problem && error.code === "silent") return false;
      throw error;
    }
  }

  until(words, ms, last = false) {
    const wanted = utf8(words);
    return this.line.take((buffer) => {
      const at = last ? lastIndex(buffer, wanted) : firstIndex(buffer, wanted);
      return at < 0 ? -1 : at + wanted.length;
    }, ms);
  }

  // Runs code and gives what it printed. Raises Problem `board_said` with the last line of its error.
  async run(code, ms = ANSWER_MS) {
    await this.paste(utf8(code));
    const output = await this.line.take(upTo(CTRL_D), ms);
    const error = await this.line.take(upTo(CTRL_D), ANSWER_MS);
    await this.line.take((buffer) => (buffer.length ? 1 : -1), ANSWER_MS); // ">"
    if (error.length > 1) throw new Problem("board_said", { detail: lastLine(error.slice(0, -1)) });
    return new TextDecoder().decode(output.slice(0, -1));
  }

  async paste(code) {
    await this.line.write(Uint8Array.of(CTRL_E, 0x41, CTRL_A));
    const answer = await this.line.take((buffer) => (buffer.length < 4 ? -1 : 4), ANSWER_MS);
    if (answer[0] !== 0x52 || answer[1] !== 1) throw new Problem("old_micropython");
    const window = answer[2] | (answer[3] << 8);
    let room = window;
    for (let at = 0; at < code.length;) {
      while (room === 0 || this.line.buffer.length) room += await this.granted(window);
      const piece = code.subarray(at, at + room);
      await this.line.write(piece);
      at += piece.length;
      room -= piece.length;
    }
    await this.line.write(Uint8Array.of(CTRL_D));
    await this.line.take(upTo(CTRL_D), ANSWER_MS); // what is left of the flow control, and the end of the code
  }

  async granted(window) {
    const [byte] = await this.line.take((buffer) => (buffer.length ? 1 : -1), ANSWER_MS);
    if (byte === MORE) return window;
    await this.line.write(Uint8Array.of(CTRL_D));
    throw new Problem("board_said", { detail: `0x${byte.toString(16)}` });
  }
}

function upTo(byte) {
  return (buffer) => buffer.indexOf(byte) + 1 || -1;
}

function firstIndex(buffer, wanted) {
  for (let at = 0; at + wanted.length <= buffer.length; at += 1) if (matches(buffer, wanted, at)) return at;
  return -1;
}

function lastIndex(buffer, wanted) {
  for (let at = buffer.length - wanted.length; at >= 0; at -= 1) if (matches(buffer, wanted, at)) return at;
  return -1;
}

function matches(buffer, wanted, at) {
  return wanted.every((byte, i) => buffer[at + i] === byte);
}

function lastLine(bytes) {
  return new TextDecoder().decode(bytes).trim().split("\n").at(-1).slice(0, 200);
}
