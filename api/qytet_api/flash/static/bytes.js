// Bytes: hashes, hexadecimal digits, base64, and what a PEM file wraps.

import { Problem } from "./problem.js";

const STEP = 0x8000; // arguments that a call takes at once

export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function sha256(bytes) {
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}

export function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

export function toBase64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += STEP) text += String.fromCharCode(...bytes.subarray(at, at + STEP));
  return btoa(text);
}

export function utf8(text) {
  return new TextEncoder().encode(text);
}

// The one DER object of a file, PEM or already DER; `kind` is a pattern of the PEM's label. Raises Problem.
export function der(bytes, kind, name) {
  if (bytes[0] === 0x30) return bytes;
  const text = new TextDecoder().decode(bytes);
  const blocks = [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]+)-----END \1-----/g)];
  const fitting = blocks.filter(([, label]) => kind.test(label) && !label.includes("ENCRYPTED"));
  if (fitting.length !== 1) throw new Problem(fitting.length ? "many_in_file" : "bad_file", { name });
  return fromBase64(fitting[0][2].replace(/\s/g, ""));
}
