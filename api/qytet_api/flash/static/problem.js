// What went wrong: a code whose texts say what happened, why, and what to do; and how foreign errors become one.

export class Problem extends Error {
  constructor(code, values = {}, cause = undefined) {
    super(code, { cause });
    this.code = code;
    this.values = values;
  }
}

// esptool-js names its errors by sentences only.
const SAID = [
  [/Failed to connect with the device|stopped: Possible serial noise|No serial data received/i, "no_answer"],
  [/MD5 of file does not match/i, "not_verified"],
  [/Unexpected CHIP|Unexpected chip ID/i, "wrong_chip"],
  [/device has been lost|port is closed|disconnected/i, "unplugged"],
];

export function explained(error) {
  if (error instanceof Problem) return error;
  const detail = String(error?.message ?? error).slice(0, 300);
  if (error?.name === "NetworkError" || error?.name === "BreakError") return new Problem("unplugged", {}, error);
  const found = SAID.find(([pattern]) => pattern.test(detail));
  return new Problem(found ? found[1] : "unexpected", { detail, chip: detail }, error);
}

// The browser tells one name for two causes: another program has the port, or this user may not open it.
export function whyNotOpened(error) {
  if (error instanceof Problem) return error;
  if (error?.name === "SecurityError") return new Problem("forbidden", {}, error);
  return new Problem("busy", { detail: String(error?.message ?? error).slice(0, 200) }, error);
}

export function whyNotChosen(error) {
  if (error?.name === "NotFoundError") return new Problem("no_port", {}, error);
  if (error?.name === "SecurityError") return new Problem("forbidden", {}, error);
  return explained(error);
}
