// One run from the choice of a port to the board's log: flash, set up, restart, listen; stopped at any moment.

import { program } from "./files.js";
import { flash, Flasher } from "./flasher.js";
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
const GONE_MS = 2000;
// USB within the chip: it goes and comes back as the chip restarts, and MicroPython's own (not USB-Serial-JTAG's) knows
// no reset by RTS.
const ESPRESSIF = 0x303a;
const SERIAL_JTAG = 0x1001;

export class Work {
  // `show`: step(name), progress(done, total), found(board), say(line), log(bytes), again() -> port.
  constructor(show) {
    this.show = show;
    this.line = this.port = this.repl = this.flasher = null;
    this.returning = false;
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
    this.info = port.getInfo();
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
    if (mode === "full" || mode === "image") {
      this.flasher = new Flasher(this.port, this.show.say);
      await flash(this.flasher, wanted, this.show);
      this.flasher = null;
    }
    await this.open();
    if (mode === "full" || mode === "files") await this.provision(wanted);
    if (mode !== "log") {
      this.show.step("start");
      await this.restart();
      this.repl = null; // from now on a program runs
    }
    this.show.step(null);
    await this.ended;
  }

  async provision(wanted) {
    const loaded = await program(wanted.program);
    this.show.step("files");
    this.line.onData = null;
    await this.restart();
    const repl = new Repl(this.line);
    await repl.enter();
    this.repl = repl;
    const identity = [wanted.settings.node.city, wanted.settings.node.device];
    const restart = async () => {
      await this.restart();
      repl.line = this.line;
    };
    const options = { forget: wanted.forget, progress: this.show.progress, restart };
    await new Provisioner(repl, boardFiles(loaded, wanted.settings.etc), identity, options).run();
    this.line.forget();
    this.line.onData = this.show.log;
  }

  async open() {
    const quiet = this.line ? this.line.onData === null : false;
    for (let left = BACK_TRIES; ; left -= 1) {
      this.line = new Line(this.port);
      if (!quiet) this.line.onData = this.show.log;
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
    const within = this.info.usbVendorId === ESPRESSIF;
    this.returning = within;
    if (this.repl && within && this.info.usbProductId !== SERIAL_JTAG) {
      await this.repl.run("import machine\nmachine.reset()").catch(() => {}); // the answer goes with the port
    } else {
      await this.line.reset();
    }
    if (within && (await this.gone())) {
      await this.line.close();
      await this.open();
    }
    this.returning = false;
  }

  async gone() {
    for (let ms = 0; ms < GONE_MS && !this.line.failure; ms += 100) await wait(100);
    return this.line.failure !== null;
  }

  async close() {
    await this.flasher?.abort();
    await this.line?.close();
  }
}
