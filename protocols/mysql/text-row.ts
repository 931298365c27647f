/** The one row of a small text result, for questions that the proxy itself asks. */
import { ProtocolError } from '../errors.ts'
import { FieldReader } from '../fields.ts'
import { readLengthEncodedString } from './frames.ts'
import { readColumnCount } from './status.ts'

const NULL = 0xfb
const END = 0xfe

export class TextRow {
  readonly #deprecateEof: boolean
  #phase: 'count' | 'definitions' | 'definitions_end' | 'rows' | 'over' = 'count'
  #columns = 0
  #owed = 0
  /** The values of the last row, `undefined` for NULL. */
  values: readonly (string | undefined)[] = []

  constructor(deprecateEof: boolean) {
    this.#deprecateEof = deprecateEof
  }

  /**
   * @param body the next packet of the result, which is not an error
   * @returns true when the result is complete
   */
  add(body: Buffer): boolean {
    switch (this.#phase) {
      case 'count':
        this.#columns = readColumnCount(body)
        this.#owed = this.#columns
        this.#phase = 'definitions'
        return false
      case 'definitions':
        this.#owed -= 1
        if (this.#owed === 0) this.#phase = this.#deprecateEof ? 'rows' : 'definitions_end'
        return false
      case 'definitions_end':
        this.#phase = 'rows'
        return false
      case 'rows':
        if (body.readUInt8(0) !== END) {
          this.values = this.#row(body)
          return false
        }
        this.#phase = 'over'
        return true
      case 'over':
        throw new ProtocolError('mysql', 'server', 'a packet after the end of a result')
    }
  }

  #row(body: Buffer): readonly (string | undefined)[] {
    const fields = new FieldReader(
      body,
      { start: 0, end: body.length },
      { protocol: 'mysql', side: 'server' },
    )
    const values: (string | undefined)[] = []
    for (let column = 0; column < this.#columns; column += 1) {
      if (fields.remaining > 0 && body.readUInt8(fields.at) === NULL) {
        fields.bytes(1)
        values.push(undefined)
      } else {
        values.push(readLengthEncodedString(fields).toString('utf8'))
      }
    }
    return values
  }
}
