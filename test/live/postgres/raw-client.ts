import { createHash } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { serialize } from 'pg-protocol'
import { int32 } from '../../../protocols/postgres/frames.ts'
import { ScramClient } from '../../../protocols/postgres/scram.ts'
import { frames, serverText } from '../../protocols/postgres/messages.ts'

/** A client that sends bytes and shows what came back, message by message. */
export class RawClient {
  readonly #socket: Socket
  #bytes = Buffer.alloc(0)
  #ended = false
  #wake: () => void = () => {}
  #count = 0
  /** Counts what comes and keeps none of it. */
  discard = false
  /** From BackendKeyData. */
  key = Buffer.alloc(0)
  parameters = new Map<string, string>()

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1')
    this.#socket.setNoDelay(true)
    this.#socket.on('data', (chunk) => {
      this.#count += chunk.length
      if (!this.discard) this.#bytes = Buffer.concat([this.#bytes, chunk])
      this.#wake()
    })
    const over = () => {
      this.#ended = true
      this.#wake()
    }
    this.#socket.on('close', over)
    this.#socket.on('error', over)
  }

  static async login(
    port: number,
    options: {
      readonly user: string
      readonly password: string
      readonly database?: string
      readonly version?: number
    },
  ): Promise<RawClient> {
    const client = new RawClient(port)
    const { user, password, database = 'postgres', version = 0x0003_0000 } = options
    const body = Buffer.concat([int32(version), Buffer.from(`user\0${user}\0database\0${database}\0\0`)])
    client.send(int32(body.length + 4), body)
    const scram = new ScramClient({
      password,
      nonce: Buffer.alloc(18, 1),
      binding: undefined,
      serverBinds: false,
    })
    for (;;) {
      const { type, body: answer } = await client.#one()
      if (type === 'E') throw new Error(answer.toString())
      if (type === 'Z') return client
      if (type === 'K') client.key = Buffer.from(answer)
      if (type === 'S') {
        const [name = '', value = ''] = answer.toString().split('\0')
        client.parameters.set(name, value)
      }
      if (type !== 'R') continue
      switch (answer.readInt32BE(0)) {
        case 3:
          client.send(serialize.password(password))
          break
        case 5: {
          const inner = createHash('md5')
            .update(password + user)
            .digest('hex')
          const outer = createHash('md5').update(inner).update(answer.subarray(4)).digest('hex')
          client.send(serialize.password(`md5${outer}`))
          break
        }
        case 10:
          client.send(serialize.sendSASLInitialResponseMessage(scram.mechanism, scram.initialResponse))
          break
        case 11:
          client.send(serialize.sendSCRAMClientFinalMessage(scram.respond(answer.toString('utf8', 4))))
          break
      }
    }
  }

  send(...parts: readonly Buffer[]): void {
    this.#socket.write(Buffer.concat(parts))
  }

  /** Waits until the socket has taken it. */
  sendAll(bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) =>
      this.#socket.write(bytes, (error) => (error == null ? resolve() : reject(error))),
    )
  }

  /** Waits until so many bytes have come in all. */
  seen(count: number): Promise<void> {
    return this.#await(() => this.#count >= count)
  }

  end(): void {
    this.#socket.destroy()
  }

  /** Everything up to the `count`th message of type `type`, or to the end of the connection. */
  async until(type: string, count = 1): Promise<Buffer> {
    let size = 0
    let left = count
    await this.#await(() => {
      size = 0
      left = count
      while (this.#bytes.length - size >= 5) {
        const end = size + 1 + this.#bytes.readUInt32BE(size + 1)
        if (end > this.#bytes.length) return false
        const found = String.fromCharCode(this.#bytes[size] ?? 0) === type
        size = end
        if (found) left -= 1
        if (left === 0) return true
      }
      return false
    })
    const bytes = this.#bytes.subarray(0, size)
    this.#bytes = this.#bytes.subarray(size)
    return bytes
  }

  /** As `until`, as text. */
  async read(type = 'Z', count = 1): Promise<string> {
    return serverText(await this.until(type, count)) + (this.#ended && this.#bytes.length === 0 ? ' end' : '')
  }

  /** Everything up to the ReadyForQuery after a row that holds this text. */
  async untilRow(text: string): Promise<Buffer> {
    let all = Buffer.alloc(0)
    for (;;) {
      const part = await this.until('Z')
      all = Buffer.concat([all, part])
      if (part.includes(text) || part.length === 0) return all
    }
  }

  /** What comes within so many milliseconds. */
  async quiet(ms: number): Promise<string> {
    await new Promise((resolve) => setTimeout(resolve, ms))
    const bytes = this.#bytes
    this.#bytes = Buffer.alloc(0)
    return serverText(bytes)
  }

  async #one(): Promise<{ readonly type: string; readonly body: Buffer }> {
    await this.#await(() => this.#bytes.length >= 5 && this.#bytes.length > this.#bytes.readUInt32BE(1))
    if (this.#ended && this.#bytes.length < 5) throw new Error('the connection ended')
    const size = 1 + this.#bytes.readUInt32BE(1)
    const first = frames(this.#bytes.subarray(0, size))[0]
    this.#bytes = this.#bytes.subarray(size)
    if (first === undefined) throw new Error('no message')
    return first
  }

  /** Waits until the condition holds, the connection ends, or 10 seconds have passed. */
  async #await(holds: () => boolean): Promise<void> {
    const deadline = Date.now() + 10_000
    while (!holds() && !this.#ended) {
      const left = deadline - Date.now()
      if (left <= 0) throw new Error(`nothing more came after: ${serverText(this.#bytes)}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }
}
