/**
 * Pipelines with denials anywhere, cut anywhere, on both sides: every command gets its own answer, in order. The other
 * side is a few lines that know what a server keeps of a connection: a transaction, and nothing else.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Inbox } from '../../../protocols/inbox.ts'
import { encodeCommand, LIMITS, RequestScanner } from '../../../protocols/redis/frames.ts'
import { Conversation, verdict } from './conversation.ts'
import { cut, words } from './wire.ts'

/** Answers GET with its key, and knows MULTI. */
class PlainServer {
  readonly #inbox = new Inbox()
  readonly #scanner = new RequestScanner(this.#inbox, LIMITS)
  #queued: string[] | undefined
  #dirty = false
  readonly seen: string[] = []

  take(bytes: Buffer): string {
    this.#inbox.push(bytes)
    let replies = ''
    while (this.#scanner.next()) {
      const [name = '', key = ''] = words(this.#scanner.args)
      this.#inbox.skip(this.#scanner.size)
      replies += this.#answer(name, key)
    }
    return replies
  }

  #answer(name: string, key: string): string {
    const queued = this.#queued
    switch (name) {
      case 'MULTI':
        if (queued !== undefined) return '-ERR MULTI calls can not be nested\r\n'
        this.#queued = []
        this.#dirty = false
        return '+OK\r\n'
      case 'EXEC':
        if (queued === undefined) return '-ERR EXEC without MULTI\r\n'
        this.#queued = undefined
        return this.#dirty ? '-EXECABORT\r\n' : `*${queued.length}\r\n${queued.join('')}`
      case 'GET': {
        this.seen.push(key)
        const value = `$${key.length}\r\n${key}\r\n`
        if (queued === undefined) return value
        queued.push(value)
        return '+QUEUED\r\n'
      }
      default:
        if (queued !== undefined) this.#dirty = true
        return `-ERR unknown command '${name}', with args beginning with: \r\n`
    }
  }
}

/** What the client must get: the same server, with a denial for each denied command, which also spoils MULTI. */
function expected(lines: readonly string[]): string {
  const server = new PlainServer()
  return lines
    .map((line) => {
      const reply = server.take(encodeCommand(line.split(' ')))
      return line.startsWith('NO ') ? '-NOPERM denied\r\n' : reply
    })
    .join('')
}

/** `NO k` is what the plain server does not know; toward the proxy it is a GET of a key that is denied. */
function sent(line: string): Buffer {
  return encodeCommand(line.startsWith('NO ') ? ['GET', `no${line.slice(3)}`] : line.split(' '))
}

const line = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 99 }).map((n) => `GET k${n}`) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 99 }).map((n) => `NO ${n}`) },
  { weight: 1, arbitrary: fc.constant('MULTI') },
  { weight: 1, arbitrary: fc.constant('EXEC') },
)
const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 40 })

test('every command gets its own answer, wherever denials stand and however the bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(line, { maxLength: 40 }), sizes, sizes, (lines, clientSizes, serverSizes) => {
      const talk = new Conversation()
      const server = new PlainServer()
      let toServer: Buffer[] = []
      let got = ''
      const pieces = cut(Buffer.concat(lines.map(sent)), clientSizes)
      let serverSize = 0
      for (const piece of [...pieces, Buffer.alloc(0)]) {
        talk.session.fromClient(piece)
        for (let one = talk.session.next(); one !== undefined; one = talk.session.next()) {
          const denial = verdict(one.analysis)
          if (denial === undefined) talk.session.relay()
          else talk.session.reject(denial)
        }
        toServer = [...talk.session.takeForServer()]
        const replies = Buffer.from(toServer.map((bytes) => server.take(bytes)).join(''), 'latin1')
        const size = serverSizes[serverSize % Math.max(1, serverSizes.length)] ?? 5
        serverSize += 1
        for (const part of cut(replies, new Array(replies.length).fill(size))) {
          talk.session.fromServer(part)
          got += Buffer.concat([...talk.session.takeForClient()]).toString('latin1')
        }
        got += Buffer.concat([...talk.session.takeForClient()]).toString('latin1')
      }
      assert.equal(got, expected(lines))
      assert.deepEqual(
        server.seen.filter((key) => key.startsWith('no')),
        [],
        'a denied key reached the server',
      )
    }),
    { numRuns: 1000 },
  )
})
