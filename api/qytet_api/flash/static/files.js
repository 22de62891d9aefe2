// The files that go onto a board: the operator's, from the server, or the technician's own; none is used unchecked.

import { fromBase64, sha256 } from "./bytes.js";
import { Problem } from "./problem.js";

// Where a chip's ROM looks for its first program, and what the header of an image calls the chip.
// https://docs.espressif.com/projects/esptool/en/latest/esp32/advanced-topics/firmware-image-format.html
export const CHIPS = {
  esp32: { at: 0x1000, id: 0 },
  esp32s3: { at: 0, id: 9 },
  esp32c3: { at: 0, id: 5 },
};
export const DATA_AT = 0x200000; // where stock MicroPython's file system begins; it reaches to the flash's end
const MAGIC = 0xe9;
const LITTLEFS = "littlefs"; // in its first two blocks
const BLOCK = 4096;

export async function listing() {
  const answer = await fetch("/flash/files");
  if (!answer.ok) throw new Problem("server", { status: answer.status });
  return answer.json();
}

async function download(path, hash) {
  let answer;
  try {
    answer = await fetch(path);
  } catch (error) {
    throw new Problem("server", { status: "–" }, error);
  }
  if (!answer.ok) throw new Problem("server", { status: answer.status });
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if ((await sha256(bytes)) !== hash) throw new Problem("download_differs", { name: path });
  return bytes;
}

export async function program(listed) {
  if (!listed) throw new Problem("no_program_file");
  const found = JSON.parse(new TextDecoder().decode(await download("/flash/files/program.json", listed.sha256)));
  return { version: found.version, root: decoded(found.root), slot: decoded(found.slot) };
}

function decoded(files) {
  return new Map(Object.entries(files).map(([path, content]) => [path, fromBase64(content)]));
}

// What the technician brings must be what it says, before a port is opened.
export async function checkOwn({ own, filesystem }) {
  if (own) {
    const found = await sha256(own.data);
    if (own.sha256 && own.sha256 !== found) throw new Problem("image_hash", { found, wanted: own.sha256 });
    checkMagic(own.data);
  }
  if (filesystem && !holdsFiles(filesystem)) throw new Problem("not_a_filesystem");
}

// The image for a chip: { data, at }; `own` is the technician's, checked.
export async function image(chip, listed, own, flashSize) {
  if (!(chip in CHIPS)) throw new Problem("wrong_chip", { chip });
  let found;
  if (own) {
    found = { data: own.data, at: CHIPS[chip].at };
  } else {
    if (!listed[chip]) throw new Problem("no_image", { chip });
    found = { data: await download(`/flash/files/images/${chip}`, listed[chip].sha256), at: listed[chip].offset };
  }
  checkImage(chip, found, flashSize);
  return found;
}

function checkMagic(data) {
  if (data.length < 32 || data[0] !== MAGIC) throw new Problem("not_an_image");
}

function checkImage(chip, { data, at }, flashSize) {
  checkMagic(data);
  const id = data[12] | (data[13] << 8);
  if (id !== CHIPS[chip].id) {
    const other = Object.keys(CHIPS).find((name) => CHIPS[name].id === id) ?? `#${id}`;
    throw new Problem("image_chip", { chip, other });
  }
  if (at + data.length > Math.min(DATA_AT, flashSize)) throw new Problem("image_large");
}

// A file system that `qytet bench image` made must fill the chip's partition to the byte.
export function checkFilesystem(data, flashSize) {
  const size = flashSize - DATA_AT;
  if (data.length !== size) {
    throw new Problem("filesystem_size", { found: `0x${data.length.toString(16)}`, wanted: `0x${size.toString(16)}` });
  }
}

export const HEAD = BLOCK + 16; // enough to see both blocks that name the file system

export function holdsFiles(data) {
  return [0, BLOCK].some((at) => new TextDecoder("latin1").decode(data.subarray(at + 8, at + 16)) === LITTLEFS);
}

export function isBlank(data) {
  return data.subarray(0, 256).every((byte) => byte === 0xff);
}
