// What the board says, line by line with the time at which it came; bounded, and to be kept as a file.

import { make } from "/static/dom.js";

const MOST = 2000;
const LONGEST = 2000; // characters of a line
const ESCAPES = /\x1b\[[0-9;]*[A-Za-z]/g;
const HINTS = [
  [/^invalid header: 0x/, "no_image"],
  [/filesystem appears to be corrupted/, "filesystem"],
  [/Brownout detector was triggered/, "brownout"],
  [/waiting for download/, "loader"],
  [/Guru Meditation|^abort\(\)/, "crash"],
  [/rst:0x8|TG1WDT_SYS_RESET/, "watchdog"],
];

export class LogView {
  // `hint(name)` gives the words that explain a line.
  constructor(element, hint) {
    this.element = element;
    this.hint = hint;
    this.clear();
  }

  clear() {
    this.decoder = new TextDecoder();
    this.partial = "";
    this.lines = [];
    this.element.replaceChildren();
  }

  bytes(data) {
    const text = this.partial + this.decoder.decode(data, { stream: true });
    const lines = text.split(/\r?\n/);
    this.partial = lines.pop().slice(-LONGEST);
    for (const line of lines) this.line(line);
  }

  line(text, kind = "said") {
    const clean = text.replace(ESCAPES, "").replace(/[\x00-\x08\x0b-\x1f\x7f]/g, "").slice(0, LONGEST);
    if (!clean) return;
    this.add(clean, kind);
    const found = kind === "said" && HINTS.find(([pattern]) => pattern.test(clean));
    if (found) this.add(this.hint(found[1]), "hint");
  }

  add(text, kind) {
    const time = stamp(new Date());
    const atEnd = this.element.scrollTop + this.element.clientHeight >= this.element.scrollHeight - 8;
    this.lines.push(`${time} ${text}`);
    this.element.append(
      make("div", { class: `line ${kind}` }, make("time", { text: time }), make("span", { text })));
    while (this.lines.length > MOST) {
      this.lines.shift();
      this.element.firstElementChild.remove();
    }
    if (atEnd) this.element.scrollTop = this.element.scrollHeight;
  }

  text() {
    return `${this.lines.join("\n")}\n`;
  }
}

function stamp(date) {
  const two = (number, digits = 2) => String(number).padStart(digits, "0");
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => two(part)).join(":");
  return `${time}.${two(date.getMilliseconds(), 3)}`;
}
