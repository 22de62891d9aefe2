// One run from the choice of a port to the board's log: flash, set up, restart, listen; stopped at any moment.

import { program } from "./files.js";
import { flash } from "./flasher.js";
import { Line, wait } from "./line.js";
import { explained, Problem, whyNotChosen } from "./problem.js";
import { boardFiles, Provisioner } from "./provision.js";
import { Repl } from "./repl.js";

export const STEPS = {
  full: ["connect", "erase", "write", "files", "start"],
  image: ["connect", "erase", "write", "start"],
  files: ["connect", "files", "start"],
  log: ["connect"],
};
const BACK_TRIES = 8;
const BACK_MS = 500;

export class Work {
  // `show`: step(name), progress(done, total), found(board), say(line), log(bytes), again() -> port.
  constructor(show) {
    this.show = show;
    this.line = null;
    this.port = null;
    this.ended = new Promise((_, refuse) => {
      this.end = refuse;
    });
    this.ended.catch(() => {}); // nobody may be waiting when it comes
  }

  // Must be called from a click: browsers show the list of ports for nothing else.
  async choose() {
    try {
      this.take(await navigator.serial.requestPort());
    } catch (error) {
      throw whyNotChosen(error);
    }
  }

  take(port) {
    this.port = port;
    port.addEventListener("disconnect", () => {
      if (this.port === port && !this.returning) this.end(new Problem("unplugged"));
    });
  }

  stop() {
    this.end(new Problem("stopped"));
  }

  // Ends by `stop`, a lost board or another Problem, never by itself once the log runs.
  async run(mode, wanted) {
    const doing = this.all(mode, wanted);
    doing.catch(() => {}); // if the cable is pulled first, nobody hears what else fails
    try {
      await Promise.race([doing, this.ended]);
    } catch (error) {
      throw explained(error);
    } finally {
      await this.close();
    }
  }

  async all(mode, wanted) {
    this.show.step("connect");
    if (mode === "full" || mode === "image") await this.flash(wanted);
    await this.open();
    if (mode === "full" || mode === "files") await this.provision(wanted);
    this.line.onData = this.show.log;
    if (mode !== "log") {
      this.show.step("start");
      await this.line.reset();
    }
    this.show.step(null);
    await this.ended;
  }

  async flash(wanted) {
    this.returning = true; // boards with USB of their own come and go as they restart
    try {
      await flash(this.port, wanted, this.show);
    } finally {
      this.returning = false;
    }
  }

  async provision(wanted) {
    const loaded = await program(wanted.program);
    this.show.step("files");
    await this.line.reset();
    const repl = new Repl(this.line);
    await repl.enter();
    const options = { forget: wanted.forget, progress: this.show.progress };
    const identity = [wanted.settings.node.city, wanted.settings.node.device];
    await new Provisioner(repl, boardFiles(loaded, wanted.settings.etc), identity, options).run();
    await repl.leave();
    this.line.forget();
  }

  async open() {
    for (let left = BACK_TRIES; ; left -= 1) {
      this.line = new Line(this.port);
      try {
        await this.line.open();
        return;
      } catch (error) {
        if (this.port.connected !== false || !left) throw error;
        await wait(BACK_MS);
        if (left === 1) this.take(await this.show.again()); // it came back as another port
      }
    }
  }

  async restart() {
    await this.line.reset();
  }

  async close() {
    await this.line?.close();
    if (!this.line) await this.port?.close().catch(() => {});
  }
}
