/** What is remembered of SQL texts, so that one that comes again, or one of the same shape, is not read again. */
import { type ShapeDialect, ShapeScanner } from './shape.ts'

/** Longer texts are bulk loads that do not come again. With the number of entries: at most 64 MiB for the keys of each kind. */
const TEXT_BYTES_MAX = 16_384

const ENTRIES_MAX = 4096

export class ReadingMemo<Reading> {
  readonly #ofText = new Map<string, Reading>()
  readonly #ofShape = new Map<string, Reading>()
  readonly #scanner: ShapeScanner

  constructor(dialect: ShapeDialect) {
    this.#scanner = new ShapeScanner(dialect)
  }

  find(text: Buffer): Reading | undefined {
    if (text.length > TEXT_BYTES_MAX) return undefined
    // One character a byte: the key is exact on bytes, valid UTF-8 or not.
    const key = text.toString('latin1')
    const known = this.#ofText.get(key)
    if (known !== undefined) return known
    const shape = this.#scanner.shapeOf(key)
    return shape === undefined ? undefined : this.#ofShape.get(shape)
  }

  /**
   * Remembers what was read in a text that was not found.
   *
   * @param indifferent where the literals begin whose values bear on nothing in the reading, in bytes from the start of the text;
   *   `undefined`: the reading holds for this text alone
   */
  keep(text: Buffer, reading: Reading, indifferent: ReadonlySet<number> | undefined): void {
    if (text.length > TEXT_BYTES_MAX) return
    const key = text.toString('latin1')
    const shape = indifferent === undefined ? undefined : this.#scanner.shapeOf(key)
    // The scanner and the grammar must agree on every literal that is left out.
    if (shape !== undefined && this.#scanner.starts.every((start) => indifferent?.has(start)))
      put(this.#ofShape, shape, reading)
    else put(this.#ofText, key, reading)
  }
}

function put<Reading>(memo: Map<string, Reading>, key: string, reading: Reading): void {
  if (memo.size >= ENTRIES_MAX) forgetOldest(memo)
  memo.set(key, reading)
}

/** A Map gives its keys in the order of insertion; dropping a part at once keeps the cost a constant. */
function forgetOldest(memo: Map<string, unknown>): void {
  let count = ENTRIES_MAX / 4
  for (const key of memo.keys()) {
    memo.delete(key)
    count -= 1
    if (count === 0) return
  }
}
