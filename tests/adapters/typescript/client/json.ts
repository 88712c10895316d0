/** One JSON value, read strictly.
 *
 * `JSON.parse` rounds integers beyond 2^53, takes `1.0` for `1`, merges repeated keys, accepts unpaired surrogates, gives
 * `__proto__` a meaning in careless hands, and builds millions of objects before anybody can count them. The bytes come from a
 * peer that nobody trusts, so objects are maps, integers are bigints, and values are counted while they are read.
 */

import { MESSAGE_VALUES, NESTING_LEVELS } from "./limits.js";

/** An integer is a bigint; a number with a fraction or an exponent, or far beyond 64 bits, is a number. */
export type Json = null | boolean | bigint | number | string | Json[] | JsonObject;
export type JsonObject = Map<string, Json>;

/** Bytes are not one acceptable JSON value. The text holds no part of them. */
export class JsonError extends Error {
  override readonly name = "JsonError";
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const SPACE = /[ \t\r\n]*/y;
const SCALAR = /[-+.0-9A-Za-z]+/y;
const NUMBER = /^-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$/;

/** Characters of an integer of 64 bits, sign included. Longer ones are not worth the time that a bigint of them takes. */
const INTEGER_CHARACTERS = 20;

/** Characters of a number that is read at all. */
const NUMBER_CHARACTERS = 1024;

/** Reads exactly one value. Throws `JsonError`. */
export function parseJson(bytes: Uint8Array): Json {
  let text;
  try {
    text = UTF8.decode(bytes);
  } catch {
    throw new JsonError("invalid UTF-8");
  }
  return new Reader(text).document();
}

/** A member of what should be an object; `undefined` if it is missing, or if there is no object. */
export function member(value: Json | undefined, name: string): Json | undefined {
  return value instanceof Map ? value.get(name) : undefined;
}

class Reader {
  readonly #text: string;
  #at = 0;
  #valuesLeft = MESSAGE_VALUES;
  #levelsLeft = NESTING_LEVELS;

  constructor(text: string) {
    this.#text = text;
  }

  document(): Json {
    const value = this.#value();
    if (this.#peek() !== undefined) throw this.#unexpected();
    return value;
  }

  #value(): Json {
    this.#valuesLeft -= 1;
    if (this.#valuesLeft < 0) throw new JsonError(`more than ${MESSAGE_VALUES} JSON values`);
    switch (this.#peek()) {
      case "{":
        return this.#nested(() => this.#object());
      case "[":
        return this.#nested(() => this.#array());
      case '"':
        return this.#string();
      default:
        return this.#scalar();
    }
  }

  #nested<T>(read: () => T): T {
    this.#levelsLeft -= 1;
    if (this.#levelsLeft < 0) throw new JsonError(`nested more than ${NESTING_LEVELS} deep`);
    this.#at += 1;
    const value = read();
    this.#levelsLeft += 1;
    return value;
  }

  #object(): JsonObject {
    const object: JsonObject = new Map();
    if (this.#take("}")) return object;
    do {
      if (this.#peek() !== '"') throw this.#unexpected();
      const key = this.#string();
      if (object.has(key)) throw new JsonError("an object repeats a key");
      if (!this.#take(":")) throw this.#unexpected();
      object.set(key, this.#value());
    } while (this.#take(","));
    if (!this.#take("}")) throw this.#unexpected();
    return object;
  }

  #array(): Json[] {
    const array: Json[] = [];
    if (this.#take("]")) return array;
    do array.push(this.#value());
    while (this.#take(","));
    if (!this.#take("]")) throw this.#unexpected();
    return array;
  }

  /** The end is found here, so that a body of a megabyte is one search; what is inside is left to the library. */
  #string(): string {
    const start = this.#at;
    let end = start;
    do {
      end = this.#text.indexOf('"', end + 1);
      if (end < 0) throw new JsonError("incomplete JSON");
    } while (this.#isEscaped(end));
    this.#at = end + 1;
    let value;
    try {
      value = JSON.parse(this.#text.slice(start, end + 1)) as string;
    } catch {
      throw new JsonError(`invalid JSON text at character ${start}`);
    }
    if (!value.isWellFormed()) throw new JsonError("an unpaired surrogate");
    return value;
  }

  #isEscaped(quote: number): boolean {
    let first = quote;
    while (this.#text[first - 1] === "\\") first -= 1;
    return (quote - first) % 2 === 1;
  }

  #scalar(): Json {
    const token = this.#match(SCALAR);
    if (token === "null") return null;
    if (token === "true") return true;
    if (token === "false") return false;
    const parts = token.length <= NUMBER_CHARACTERS ? NUMBER.exec(token) : null;
    if (parts === null) throw this.#unexpected();
    const isInteger = parts[1] === undefined && parts[2] === undefined && token.length <= INTEGER_CHARACTERS;
    return isInteger ? BigInt(token) : Number(token);
  }

  /** The next character that is not white space. */
  #peek(): string | undefined {
    this.#match(SPACE);
    return this.#text[this.#at];
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at += 1;
    return true;
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const token = pattern.exec(this.#text)?.[0] ?? "";
    this.#at += token.length;
    return token;
  }

  #unexpected(): JsonError {
    return new JsonError(this.#at < this.#text.length ? `invalid JSON at character ${this.#at}` : "incomplete JSON");
  }
}
