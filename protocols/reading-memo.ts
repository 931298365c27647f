/** What is remembered of SQL texts, so that one that comes again, or one of the same shape, is not read again. */
import { type ShapeDialect, ShapeScanner } from './shape.ts'

/** Longer texts are bulk loads that do not come again. */
const TEXT_BYTES_MAX = 16_384

const ENTRIES_MAX = 4096

/** Of the keys together: whoever sends long texts that differ takes no more memory than this, of each kind. */
const KEY_BYTES_MAX = 16 * 1_048_576

export class ReadingMemo<Reading> {
  readonly #ofText = new BoundedMap<Reading>()
  readonly #ofShape = new BoundedMap<Reading>()
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
      this.#ofShape.set(shape, reading)
    else this.#ofText.set(key, reading)
  }
}

/** Forgets the oldest when it is full. */
class BoundedMap<Value> {
  readonly #values = new Map<string, Value>()
  #keyBytes = 0

  get(key: string): Value | undefined {
    return this.#values.get(key)
  }

  /** @param key one character a byte; not in the map */
  set(key: string, value: Value): void {
    this.#keyBytes += key.length
    while (this.#values.size >= ENTRIES_MAX || this.#keyBytes > KEY_BYTES_MAX) this.#forgetOldest()
    this.#values.set(key, value)
  }

  /** A Map gives its keys in the order of insertion; dropping a part at once keeps the cost a constant. */
  #forgetOldest(): void {
    let count = Math.ceil(this.#values.size / 4)
    for (const key of this.#values.keys()) {
      this.#values.delete(key)
      this.#keyBytes -= key.length
      count -= 1
      if (count === 0) return
    }
  }
}
