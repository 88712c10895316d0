/** Lines out of bytes in any chunking. */

const LF = 0x0a;
const CR = 0x0d;

/** What a line of white space only may have; such a line is skipped. */
const BLANKS = new Set([0x09, 0x0c, CR, 0x20]);

export class LineTooLong extends Error {
  override readonly name = "LineTooLong";
}

/** Cuts a byte stream into lines that end with LF or CRLF. Bytes behind the last line end are no line. */
export class LineReader {
  readonly #lineBytes: number;
  /** The begin of an unfinished line, in the first `#length` bytes of a buffer that doubles. */
  #buffer = Buffer.alloc(0);
  #length = 0;

  /** @param lineBytes the longest line without its end */
  constructor(lineBytes: number) {
    this.#lineBytes = lineBytes;
  }

  /** The lines that these bytes complete. Throws `LineTooLong` once the bound is passed, before the line is finished too. */
  *read(bytes: Buffer): Generator<Buffer> {
    let start = 0;
    for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, start)) {
      const line = this.#finish(bytes.subarray(start, end));
      start = end + 1;
      if (line.some((byte) => !BLANKS.has(byte))) yield line;
    }
    this.#append(bytes.subarray(start));
  }

  #finish(tail: Buffer): Buffer {
    let line = tail;
    if (this.#length > 0) {
      this.#append(tail);
      line = this.#buffer.subarray(0, this.#length);
      this.#buffer = Buffer.alloc(0);
      this.#length = 0;
    }
    if (line.at(-1) === CR) line = line.subarray(0, -1);
    if (line.length > this.#lineBytes) throw this.#tooLong();
    return line;
  }

  #append(bytes: Buffer): void {
    const length = this.#length + bytes.length;
    // The line may end in CR, which does not count.
    if (length > this.#lineBytes + 1) throw this.#tooLong();
    if (length > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(length, 2 * this.#buffer.length));
      this.#buffer.copy(grown, 0, 0, this.#length);
      this.#buffer = grown;
    }
    bytes.copy(this.#buffer, this.#length);
    this.#length = length;
  }

  #tooLong(): LineTooLong {
    return new LineTooLong(`a line exceeds ${this.#lineBytes} bytes`);
  }
}
