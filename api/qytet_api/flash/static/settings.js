// A node's settings as they lie on the board: /etc/node.json and the files beside it, checked before a port is opened.
// The same rules as the node's own (firmware/device/qytet_node/config.py): it would refuse what breaks them.

import { der, utf8 } from "./bytes.js";
import { Problem } from "./problem.js";

const SLUG = /^[a-z0-9_-]{1,64}$/;
const KEY = /^[0-9a-f]{512}$/;
export const PASSED_ON = ["keep_bytes", "pins", "sensors", "outputs"];

// One row a field of the form: how it is checked, and where it goes in node.json.
export const FIELDS = [
  { id: "city", slug: true, place: ["city"] },
  { id: "device", slug: true, place: ["device"] },
  { id: "profile", slug: true, place: ["profile"] },
  { id: "board", slug: true, place: ["board"] },
  { id: "ssid", most: 32, place: ["wifi", "ssid"] },
  { id: "wifi_password", most: 64, empty: true, wpa: true, raw: true, place: ["wifi", "password"] },
  { id: "host", most: 255, place: ["broker", "host"] },
  { id: "port", whole: [1, 65535], place: ["broker", "port"] },
  { id: "user", most: 64, place: ["broker", "user"] },
  { id: "password", most: 128, raw: true, place: ["broker", "password"] },
  { id: "name", most: 255, optional: true, place: ["broker", "name"] },
  { id: "ntp", list: true, most: 255, optional: true, place: ["ntp"] },
  { id: "report_s", whole: [1, 86400], optional: true, place: ["report_s"] },
];

// `values`: texts by id, `tls` a boolean, `ca`, `cert`, `key` bytes or null, `update_key` text, `extra` passed on.
// Returns { node, etc: Map(path, bytes), wrong: [[id, code]] }.
export function build(values) {
  const node = { v: 1, wifi: {}, broker: { tls: values.tls }, ...values.extra };
  const wrong = [];
  for (const field of FIELDS) {
    const [code, value] = checked(field, values[field.id] ?? "");
    if (code) wrong.push([field.id, code]);
    else if (value !== undefined) place(node, field.place, value);
  }
  if (values.tls && !values.ca) wrong.push(["ca", "needs_ca"]);
  if (Boolean(values.cert) !== Boolean(values.key)) wrong.push([values.cert ? "key" : "cert", "needs_both"]);
  const update = (values.update_key ?? "").trim().toLowerCase();
  if (update && !KEY.test(update)) wrong.push(["update_key", "no_key"]);
  const etc = new Map([["/etc/node.json", utf8(JSON.stringify(node))]]);
  addTrust(etc, values, wrong);
  if (update) etc.set("/etc/update.key", utf8(update));
  return { node, etc, wrong };
}

function addTrust(etc, values, wrong) {
  for (const [id, kind] of [["ca", /^CERTIFICATE$/], ["cert", /^CERTIFICATE$/], ["key", /PRIVATE KEY$/]]) {
    if (!values[id]) continue;
    try {
      etc.set(`/etc/${id}.der`, der(values[id], kind, id));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      wrong.push([id, error.code]);
    }
  }
}

function checked(field, given) {
  const text = field.raw ? given : given.trim();
  if (!text && field.optional) return [null, undefined];
  if (!text && !field.empty) return ["needed"];
  if (field.slug) return SLUG.test(text) ? [null, text] : ["no_slug"];
  if (field.whole) return whole(text, field.whole);
  const parts = field.list ? text.split(/[\s,]+/).filter(Boolean) : [text];
  if (parts.some((part) => part.length > field.most)) return ["too_long"];
  if (field.wpa && text && text.length < 8) return ["short_password"];
  return [null, field.list ? parts : text];
}

function whole(text, [least, most]) {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  return number >= least && number <= most ? [null, number] : ["no_number"];
}

function place(node, path, value) {
  if (path.length === 1) node[path[0]] = value;
  else node[path[0]][path[1]] = value;
}

// A settings file (node.json, with `ca`, `cert`, `key` as PEM and `update_key` beside) as values of the form.
export function fromFile(text) {
  let found;
  try {
    found = JSON.parse(text);
  } catch (error) {
    throw new Problem("bad_settings", {}, error);
  }
  if (found === null || typeof found !== "object" || Array.isArray(found)) throw new Problem("bad_settings");
  const values = {};
  for (const field of FIELDS) {
    const value = field.place.reduce((at, name) => at?.[name], found);
    if (value !== undefined && value !== null) values[field.id] = Array.isArray(value) ? value.join(", ") : String(value);
  }
  if (typeof found.broker?.tls === "boolean") values.tls = found.broker.tls;
  for (const id of ["ca", "cert", "key"]) if (typeof found[id] === "string") values[id] = utf8(found[id]);
  if (typeof found.update_key === "string") values.update_key = found.update_key;
  values.extra = Object.fromEntries(PASSED_ON.filter((name) => name in found).map((name) => [name, found[name]]));
  return values;
}
