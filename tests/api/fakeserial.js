// A `navigator.serial` with one port, whose other end is the simulated board behind the test's own server: a WebSocket
// while the port is open, bytes as bytes, control lines as text.

(() => {
  const lost = () => new DOMException("The device has been lost.", "NetworkError");

  class Port extends EventTarget {
    constructor() {
      super();
      this.readable = this.writable = this.socket = null;
      this.connected = true;
    }

    getInfo() {
      return window.usbWithin ? { usbVendorId: 0x303a, usbProductId: 0x1001 } : { usbVendorId: 0x10c4, usbProductId: 0xea60 };
    }

    async open({ baudRate }) {
      if (this.socket) throw new DOMException("The port is already open.", "InvalidStateError");
      const socket = new WebSocket(`ws://${location.host}/board/line?baud=${baudRate}`);
      socket.binaryType = "arraybuffer";
      await new Promise((done, refuse) => {
        socket.onopen = done;
        socket.onerror = () => refuse(new DOMException("Failed to open serial port.", "NetworkError"));
      });
      this.socket = socket;
      this.reads();
      this.writable = new WritableStream({ write: (data) => this.send(data) });
      socket.onmessage = ({ data }) => this.controller?.enqueue(new Uint8Array(data));
      socket.onclose = () => this.vanish();
    }

    reads() {
      this.readable = new ReadableStream({
        start: (controller) => { this.controller = controller; },
        cancel: () => {
          this.controller = null;
          queueMicrotask(() => this.socket && this.reads());
        },
      });
    }

    send(data) {
      if (!this.socket) throw lost();
      if (this.deaf && typeof data !== "string") {
        this.deaf = false;
        return;
      }
      this.socket.send(data);
    }

    vanish() {
      const controller = this.controller;
      this.connected = false;
      this.readable = this.writable = this.controller = this.socket = null;
      controller?.error(lost());
      this.dispatchEvent(new Event("disconnect", { bubbles: true }));
    }

    async setSignals(signals) {
      if (window.late && signals.requestToSend === false) {
        this.controller.enqueue(new TextEncoder().encode(window.late)); // said before the reset, and only read now
        window.late = null;
        this.deaf = true; // a chip that begins hears nothing yet
      }
      this.send(JSON.stringify(signals));
      if (window.usbWithin && this.held && signals.requestToSend === false) this.comeBack();
      this.held = signals.requestToSend;
    }

    // A chip with USB of its own takes the port along as it restarts.
    comeBack() {
      this.socket.onclose = null;
      this.socket.close();
      this.vanish();
      setTimeout(() => { this.connected = true; }, 200);
    }

    async getSignals() {
      return { clearToSend: true, dataCarrierDetect: true, dataSetReady: true, ringIndicator: false };
    }

    async close() {
      const socket = this.socket;
      if (!socket) throw new DOMException("The port is already closed.", "InvalidStateError");
      this.readable = this.writable = this.controller = this.socket = null;
      await new Promise((done) => {
        socket.onclose = done;
        socket.close();
      });
    }

    async forget() {}
  }

  class Serial extends EventTarget {
    constructor() {
      super();
      this.port = new Port();
    }

    async requestPort() {
      if (window.noPort) throw new DOMException("No port selected by the user.", "NotFoundError");
      this.port.connected = true;
      return this.port;
    }

    async getPorts() {
      return [];
    }
  }

  Object.defineProperty(navigator, "serial", { value: new Serial(), configurable: true });
})();
