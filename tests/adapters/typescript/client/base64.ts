/** Base64 of the standard alphabet with padding, and nothing else.
 *
 * Node's decoder skips what it does not know and reads the URL-safe alphabet too, so what it made is encoded again and compared.
 */

/** How many bytes a text decodes to, if it is base64: known before anything is decoded. */
export function decodedBytes(encoded: string): number {
  return (encoded.length / 4) * 3 - (encoded.endsWith("==") ? 2 : encoded.endsWith("=") ? 1 : 0);
}

/** `undefined` for what is not base64. The bytes are in memory of their own: a small chunk never keeps a large one alive. */
export function decodeBase64(encoded: string): Buffer | undefined {
  if (encoded.length % 4 !== 0) return undefined;
  const bytes = Buffer.allocUnsafeSlow(decodedBytes(encoded));
  const isWhole = bytes.write(encoded, "base64") === bytes.length;
  return isWhole && bytes.toString("base64") === encoded ? bytes : undefined;
}
