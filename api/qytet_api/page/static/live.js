// The stream of one city: keeps its newest state, reckons by the server's clock, and says when it is cut off.

const SILENCE_MS = 25000; // the server beats every 15 s
const RETRY_MS = 3000;

// A moment, and the milliseconds since: the longer of what two clocks say, as one may be set back while we look, and
// the other stands still while the machine sleeps.
class Moment {
  constructor() {
    this.date = Date.now();
    this.steady = performance.now();
  }

  passed() {
    return Math.max(Date.now() - this.date, performance.now() - this.steady);
  }
}

export class Live {
  constructor(city, onChange) {
    this.latest = new Map();
    this.devices = new Map();
    this.known = false;
    this.lostSince = null;
    this.databaseSince = null;
    this.server = null;
    this.told = null;
    this.onChange = onChange;
    this.address = `/v1/live/${city}`;
    this.connect();
    setInterval(() => this.watch(), 1000);
  }

  now() {
    return this.told ? this.server + this.told.passed() : Date.now();
  }

  connect() {
    this.heard = new Moment();
    this.source = new EventSource(this.address);
    this.source.addEventListener("open", () => this.alive());
    this.source.addEventListener("error", () => this.lost());
    const events = ["snapshot", "changes", "trouble", "beat"];
    for (const name of events) this.source.addEventListener(name, (event) => this.take(name, JSON.parse(event.data)));
  }

  take(name, content) {
    this.server = Date.parse(content.now);
    this.told = new Moment();
    this.alive();
    if (name === "trouble") this.databaseSince = Date.parse(content.since);
    if (name === "snapshot") {
      this.known = true;
      this.latest.clear();
      this.devices.clear();
    }
    if (name === "snapshot" || name === "changes") {
      this.databaseSince = null;
      for (const reading of content.latest) {
        this.latest.set(reading.datastream_id, { ...reading, at: Date.parse(reading.phenomenon_time) });
      }
      for (const device of content.devices) this.devices.set(device.device, device);
    }
    this.onChange(name);
  }

  alive() {
    this.heard = new Moment();
    if (this.lostSince !== null) {
      this.lostSince = null;
      this.onChange("alive");
    }
  }

  lost() {
    if (this.lostSince === null) {
      this.lostSince = Date.now();
      this.onChange("lost");
    }
  }

  // A browser gives up after an error answer, and a dead network says nothing at all: begin anew.
  watch() {
    const quiet = this.heard.passed();
    if (quiet > SILENCE_MS) this.lost();
    const closed = this.source.readyState === EventSource.CLOSED;
    if ((closed && quiet > RETRY_MS) || quiet > SILENCE_MS) {
      this.source.close();
      this.connect();
    }
  }
}
