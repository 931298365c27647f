/** A client that writes packets by hand and reads replies to their end, to try what drivers hide. */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { CLIENT } from '../../../protocols/mysql/capabilities.ts'
import { packet } from '../../../protocols/mysql/frames.ts'
import { handshakeResponse } from '../../protocols/mysql/conversation.ts'

export type Reply = readonly { readonly sequence: number; readonly body: Buffer }[]

const BODY_BYTES_MAX = 0xffffff
/** How long a reply may take before a test fails. */
const REPLY_MS = 20_000

export class RawClient {
  readonly #socket: Socket
  readonly #deprecateEof: boolean
  #bytes = Buffer.alloc(0)
  #wake: () => void = () => undefined
  #closed = false

  private constructor(socket: Socket, deprecateEof: boolean) {
    this.#socket = socket
    this.#deprecateEof = deprecateEof
    socket.on('data', (chunk) => {
      this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
      this.#wake()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#closed = true
      this.#wake()
    })
  }

  /** Logs in with the token in the clear, as a client of `mysql_clear_password` does on loopback. */
  static async connect(options: {
    readonly port: number
    readonly user: string
    readonly token: string
    readonly database: string
    readonly flags: number
    /** MariaDB's second word of capabilities. */
    readonly extended?: number
  }): Promise<RawClient> {
    const { port, user, token, database, flags, extended = 0 } = options
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    const client = new RawClient(socket, (flags & CLIENT.DEPRECATE_EOF) !== 0)
    await client.packet()
    // The answer's length is one byte here, so a long token is sent after a switch.
    const plugin = 'mysql_clear_password'
    const response = { flags, extended, user, database, plugin, answer: Buffer.alloc(0) }
    socket.write(packet(1, handshakeResponse(response)))
    assert.equal((await client.packet()).body[0], 0xfe)
    socket.write(packet(3, Buffer.from(`${token}\0`)))
    const { body } = await client.packet()
    assert.equal(body[0], 0, body.toString('latin1'))
    return client
  }

  send(bytes: Buffer): void {
    this.#socket.write(bytes)
  }

  /** Sends a command and reads its reply. */
  async ask(bytes: Buffer, kind: 'result' | 'prepare' | 'rows' = 'result'): Promise<Reply> {
    this.send(bytes)
    return this.reply(kind)
  }

  /** The whole next reply; long packets are joined. */
  async reply(kind: 'result' | 'prepare' | 'rows' = 'result', cursor = false): Promise<Reply> {
    const seen: { sequence: number; body: Buffer }[] = []
    const next = async (): Promise<Buffer> => {
      const received = await this.packet()
      seen.push(received)
      return received.body
    }
    if (kind === 'prepare') await this.#prepared(next)
    else if (kind === 'rows') await this.#rows(next)
    else await this.#results(next, cursor)
    return seen
  }

  async #results(next: () => Promise<Buffer>, cursor: boolean): Promise<void> {
    for (let more = true; more; ) {
      const first = await next()
      if (first[0] === 0xff) return
      if (first[0] === 0) {
        more = (first.readUInt16LE(3) & 8) !== 0
        continue
      }
      for (let column = first.readUInt8(0); column > 0; column -= 1) await next()
      if (!this.#deprecateEof) {
        const end = await next()
        if (cursor && end.readUInt16LE(3) & 0x40) return
      }
      more = await this.#rows(next)
    }
  }

  /** Gives whether another result follows. */
  async #rows(next: () => Promise<Buffer>): Promise<boolean> {
    for (;;) {
      const row = await next()
      if (row[0] === 0xff) return false
      if (row[0] !== 0xfe || row.length >= 9 + (this.#deprecateEof ? 1_000 : 0)) continue
      return (row.readUInt16LE(3) & 8) !== 0
    }
  }

  async #prepared(next: () => Promise<Buffer>): Promise<void> {
    const head = await next()
    if (head[0] !== 0) return
    for (const count of [head.readUInt16LE(7), head.readUInt16LE(5)]) {
      for (let left = count; left > 0; left -= 1) await next()
      if (count > 0 && !this.#deprecateEof) await next()
    }
  }

  /** The next logical packet; its sequence id is that of its last part. */
  async packet(): Promise<{ sequence: number; body: Buffer }> {
    const bodies: Buffer[] = []
    for (;;) {
      await this.#until(4)
      const length = this.#bytes.readUIntLE(0, 3)
      await this.#until(4 + length)
      const sequence = this.#bytes.readUInt8(3)
      bodies.push(this.#bytes.subarray(4, 4 + length))
      this.#bytes = this.#bytes.subarray(4 + length)
      if (length < BODY_BYTES_MAX) return { sequence, body: Buffer.concat(bodies) }
    }
  }

  async #until(size: number): Promise<void> {
    const deadline = Date.now() + REPLY_MS
    while (this.#bytes.length < size) {
      if (this.#closed) throw new Error('the connection is closed')
      if (Date.now() > deadline) throw new Error('no reply')
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, REPLY_MS)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  close(): void {
    this.#socket.destroy()
  }
}

/** A command of any length, split as the protocol wants it. */
export function longCommand(body: Buffer): Buffer {
  const parts: Buffer[] = []
  let at = 0
  for (let sequence = 0; ; sequence += 1) {
    const part = body.subarray(at, at + BODY_BYTES_MAX)
    const header = Buffer.alloc(4)
    header.writeUIntLE(part.length, 0, 3)
    header.writeUInt8(sequence & 0xff, 3)
    parts.push(header, part)
    at += part.length
    if (part.length < BODY_BYTES_MAX) return Buffer.concat(parts)
  }
}
