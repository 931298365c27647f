/** A client that sends bytes as they are given and reads replies as text. */
import { connect, type Socket } from 'node:net'
import { Inbox } from '../../../protocols/inbox.ts'
import { splitLine } from '../../../protocols/redis/command-line.ts'
import { encodeCommand } from '../../../protocols/redis/frames.ts'
import { ReplyScanner } from '../../../protocols/redis/replies.ts'

export type Endpoint = { readonly host: string; readonly port: number }

/** A command line as typed in redis-cli, on the wire. */
export function typed(line: string): Buffer {
  const words = splitLine(line)
  if (words === undefined) throw new Error(`unbalanced quotes: ${line}`)
  return encodeCommand(words)
}

export class RawClient {
  readonly #socket: Socket
  readonly #inbox = new Inbox()
  readonly #replies = new ReplyScanner(this.#inbox)
  #inReply = false
  #waiting: (() => void) | undefined
  /** Every complete reply, in the latin1 of its bytes, that `read` has not given yet. */
  readonly #found: string[] = []
  closed = false

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => this.#data(chunk))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.closed = true
      this.#waiting?.()
    })
  }

  static async open({ host, port }: Endpoint): Promise<RawClient> {
    const socket = connect({ host, port, noDelay: true })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new RawClient(socket)
  }

  #data(chunk: Buffer): void {
    this.#inbox.push(chunk)
    for (;;) {
      if (!this.#inReply && (this.#inbox.length === this.#replies.at || !this.#replies.begin())) break
      this.#inReply = true
      const walked = this.#replies.walk()
      if (walked === 'more') break
      if (walked === 'redirection') {
        this.#replies.skipLine()
        continue
      }
      this.#inReply = false
      this.#found.push(this.#inbox.take(this.#replies.at).toString('latin1'))
      this.#replies.at = 0
    }
    this.#waiting?.()
  }

  send(...bytes: readonly Buffer[]): void {
    this.#socket.write(Buffer.concat([...bytes]))
  }

  /** The next `count` replies; fewer where the connection ends before. */
  async read(count: number): Promise<string[]> {
    while (this.#found.length < count && !this.closed) {
      await new Promise<void>((resolve) => {
        this.#waiting = resolve
      })
    }
    return this.#found.splice(0, count)
  }

  /** Sends command lines at once and gives one reply for each. */
  async ask(...lines: readonly string[]): Promise<string[]> {
    this.send(...lines.map(typed))
    return this.read(lines.length)
  }

  close(): void {
    this.#socket.destroy()
  }
}
