import { CLIENT, HEADER_BYTES } from '../../../protocols/postgres/frames.ts'
import { server } from './messages.ts'

/**
 * A model of what PostgreSQL does with messages: names, portals, transactions, skipping to Sync. Texts are what they
 * say: `fail` fails when it runs, `refused` may not be parsed, `begin`, `commit`, `rollback`, `prepare a as …`,
 * `execute a`, `deallocate a` do just that, and anything else succeeds.
 */
export class ModelServer {
  readonly #prepared = new Map<string, string>()
  readonly #portals = new Map<string, string>()
  #status: 'I' | 'T' | 'E' = 'I'
  #skipping = false
  #waiting = Buffer.alloc(0)
  #replies: Buffer[] = []
  /** Every text that ran, in order. */
  readonly ran: string[] = []
  /** Every text that came. */
  readonly seen: string[] = []

  receive(bytes: Buffer): void {
    this.#waiting = Buffer.concat([this.#waiting, bytes])
  }

  /** Handles the next whole message. False: there is none. */
  step(): boolean {
    if (this.#waiting.length < HEADER_BYTES) return false
    const end = 1 + this.#waiting.readUInt32BE(1)
    if (this.#waiting.length < end) return false
    const type = this.#waiting[0] ?? 0
    const fields = this.#waiting.toString('latin1', HEADER_BYTES, end).split('\0')
    this.#waiting = this.#waiting.subarray(end)
    if (this.#skipping && type !== CLIENT.sync) return true
    try {
      this.#handle(type, fields)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      this.#fail(error)
      if (type === CLIENT.query) this.#ready()
      else if (type !== CLIENT.sync) this.#skipping = true
    }
    return true
  }

  take(): Buffer {
    const bytes = Buffer.concat(this.#replies)
    this.#replies = []
    return bytes
  }

  #fail({ code, message }: Failure): void {
    this.#replies.push(server.error(code, message))
    if (this.#status === 'T') this.#status = 'E'
    if (this.#status === 'I') this.#portals.clear()
  }

  #handle(type: number, fields: readonly string[]): void {
    const [first = '', second = ''] = fields
    switch (type) {
      case CLIENT.query:
        this.#prepared.delete('')
        this.#portals.delete('')
        this.#read(first)
        for (const part of first.split(';')) this.#run(part.trim())
        this.#ready()
        return
      case CLIENT.parse: {
        if (first === '') this.#prepared.delete('')
        this.#read(second)
        this.#refuseIfAborted(second)
        const name = key(first)
        if (name !== '' && this.#prepared.has(name)) throw new Failure('42P05', 'exists')
        this.#prepared.set(name, second)
        this.#replies.push(server.parseComplete)
        return
      }
      case CLIENT.bind: {
        const text = this.#prepared.get(key(second))
        if (text === undefined) throw new Failure('26000', 'no statement')
        this.#refuseIfAborted(text)
        const portal = key(first)
        if (portal !== '' && this.#portals.has(portal)) throw new Failure('42P03', 'exists')
        this.#portals.set(portal, text)
        this.#replies.push(server.bindComplete)
        return
      }
      case CLIENT.execute: {
        const text = this.#portals.get(key(first))
        if (text === undefined) throw new Failure('34000', 'no portal')
        this.#run(text)
        return
      }
      case CLIENT.describe: {
        const isStatement = first.startsWith('S')
        const name = key(first.slice(1))
        if (!(isStatement ? this.#prepared : this.#portals).has(name))
          throw new Failure(isStatement ? '26000' : '34000', 'no name')
        if (isStatement) this.#replies.push(server.parameterDescription)
        this.#replies.push(server.noData)
        return
      }
      case CLIENT.close:
        ;(first.startsWith('S') ? this.#prepared : this.#portals).delete(key(first.slice(1)))
        this.#replies.push(server.closeComplete)
        return
      case CLIENT.sync:
        this.#skipping = false
        this.#ready()
        return
      case CLIENT.flush:
        return
      default:
        throw new Error(`the model knows no message ${type}`)
    }
  }

  #read(text: string): void {
    this.seen.push(text)
    if (text.includes('refused')) throw new Failure('42501', 'refused')
    if (text.startsWith('bulkhead_denied')) throw new Failure('42601', `syntax error at or near "${text}"`)
  }

  #refuseIfAborted(text: string): void {
    if (this.#status === 'E' && text !== 'rollback') throw new Failure('25P02', 'aborted')
  }

  #run(text: string): void {
    const [verb, name = '', , ...rest] = text.split(' ')
    if (verb === 'execute' && !this.#prepared.has(key(name))) throw new Failure('26000', 'no statement')
    // The one thing in which the session differs: see `runByName` there.
    if (verb === 'execute' && /^(prepare|deallocate|execute)/.test(this.#prepared.get(key(name)) ?? ''))
      throw new Failure('42501', 'not by name')
    this.#refuseIfAborted(text)
    this.ran.push(text)
    switch (verb) {
      case '':
        this.#replies.push(server.empty)
        return
      case 'fail':
        throw new Failure('22012', 'failed')
      case 'begin':
        this.#status = 'T'
        break
      case 'commit':
      case 'rollback':
        this.#status = 'I'
        this.#portals.clear()
        break
      case 'prepare':
        if (this.#prepared.has(key(name))) throw new Failure('42P05', 'exists')
        this.#prepared.set(key(name), rest.join(' '))
        this.#replies.push(server.complete('PREPARE'))
        return
      case 'execute':
        this.ran.push(this.#prepared.get(key(name)) ?? '')
        break
      case 'deallocate':
        if (!this.#prepared.delete(key(name))) throw new Failure('26000', 'no statement')
        this.#replies.push(server.complete('DEALLOCATE'))
        return
    }
    this.#replies.push(server.row(text), server.complete('SELECT 1'))
  }

  #ready(): void {
    if (this.#status === 'I') this.#portals.clear()
    this.#replies.push(server.ready(this.#status))
  }
}

class Failure extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

function key(name: string): string {
  return name.slice(0, 63)
}
