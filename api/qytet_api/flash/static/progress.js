// How far something is, how fast it goes, and how long it still takes.

const SETTLE_MS = 400; // before that a rate would only mislead

export class Progress {
  constructor(now = () => performance.now()) {
    this.now = now;
    this.began = null;
  }

  // Returns { share, rate, left }: 0 to 1, bytes a second, seconds; the last two are null while nobody can know.
  at(done, total) {
    this.began ??= { at: this.now(), done };
    const ms = this.now() - this.began.at;
    const rate = ms > SETTLE_MS ? ((done - this.began.done) * 1000) / ms : null;
    return { share: total ? done / total : 1, rate, left: rate ? (total - done) / rate : null };
  }
}
