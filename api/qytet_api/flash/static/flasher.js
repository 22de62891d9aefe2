// A chip's loader through esptool-js: which chip it is, what lies on its flash, writing with proof.

import { checkFilesystem, DATA_AT, HEAD, holdsFiles, image, isBlank } from "./files.js";
import { wait } from "./line.js";
import { md5 } from "./md5.js";
import { Problem, explained, whyNotOpened } from "./problem.js";

const ROM_BAUD = 115200;
const FAST_BAUD = 460800; // what the cheapest USB converters still carry
const CLOSE_MS = 2000;

export class Flasher {
  constructor(port, say) {
    this.port = port;
    this.say = say;
  }

  // Opens the port, brings the chip into its loader: { chip, name, mac, flashSize }.
  async connect() {
    const { ESPLoader, Transport } = await import("/flash/vendor/esptool.js");
    this.transport = new Transport(this.port, false);
    const open = this.transport.connect.bind(this.transport);
    this.transport.connect = (...how) => open(...how).catch((error) => { throw whyNotOpened(error); });
    this.disconnect = this.transport.disconnect.bind(this.transport);
    const terminal = { clean() {}, write: () => {}, writeLine: (line) => this.say(line) };
    this.loader = new ESPLoader({ transport: this.transport, baudrate: FAST_BAUD, romBaudrate: ROM_BAUD, terminal });
    const name = await this.loader.main();
    const mac = await this.loader.chip.readMac(this.loader);
    const size = await this.loader.detectFlashSize();
    if (!size) throw new Problem("no_flash");
    return { chip: this.loader.chip.CHIP_NAME.toLowerCase().replaceAll("-", ""), name, mac, flashSize: bytesOf(size) };
  }

  // What is at the place of the file system: "blank", "files" (perhaps with readings), "foreign".
  async contents() {
    const head = await this.loader.readFlash(DATA_AT, HEAD);
    if (holdsFiles(head)) return "files";
    return isBlank(head) ? "blank" : "foreign";
  }

  async erase() {
    await this.loader.eraseFlash();
  }

  // Writes { data, at } one after another; the chip's MD5 of each must be ours. `progress(done, total)` in bytes.
  async write(parts, progress) {
    const total = parts.reduce((sum, part) => sum + part.data.length, 0);
    const before = parts.map((_, i) => parts.slice(0, i).reduce((sum, part) => sum + part.data.length, 0));
    await this.loader.writeFlash({
      fileArray: parts.map((part) => ({ data: part.data, address: part.at })),
      flashMode: "keep",
      flashFreq: "keep",
      flashSize: "keep",
      eraseAll: false,
      compress: true,
      calculateMD5Hash: md5,
      reportProgress: (i, done, all) => progress(before[i] + (all ? (parts[i].data.length * done) / all : 0), total),
    });
  }

  // Once only: later the port may be another run's.
  async close() {
    if (this.closed) return;
    this.closed = true;
    await Promise.race([this.disconnect?.().catch(() => {}), wait(CLOSE_MS)]);
    await this.port.close().catch(() => {});
  }

  // In the middle of something: whatever esptool-js still wants of the port fails.
  async abort() {
    const gone = () => Promise.reject(new Problem("stopped"));
    const all = { write: gone, read: gone, connect: gone, disconnect: gone, setSignals: gone };
    if (this.transport) Object.assign(this.transport, all);
    await this.close();
  }
}

function bytesOf(size) {
  return parseInt(size, 10) * (size.endsWith("MB") ? 1 << 20 : 1 << 10);
}

// The whole of it. `wanted`: { images, own, filesystem, erase, chip }; `show`: { step, progress, found }.
export async function flash(flasher, wanted, show) {
  try {
    const found = await flasher.connect();
    show.found(found);
    if (wanted.chip && wanted.chip !== found.chip) {
      throw new Problem("board_chip", { chip: found.chip, wanted: wanted.chip });
    }
    const parts = [await image(found.chip, wanted.images, wanted.own, found.flashSize)];
    if (wanted.filesystem) {
      checkFilesystem(wanted.filesystem, found.flashSize);
      parts.push({ data: wanted.filesystem, at: DATA_AT });
    }
    await makeRoom(flasher, wanted, show);
    show.step("write");
    await flasher.write(parts, show.progress);
    return found;
  } catch (error) {
    throw explained(error);
  } finally {
    await flasher.close();
  }
}

// Files may be readings that the city does not have: they go only if the technician says so. What no node of ours has
// left there would keep MicroPython from making its file system.
async function makeRoom(flasher, wanted, show) {
  const there = await flasher.contents();
  if (there === "files" && wanted.filesystem && !wanted.erase) throw new Problem("keeps_files");
  if (!wanted.erase && there !== "foreign") return;
  show.step("erase");
  await flasher.erase();
}
