/**
 * Puts a Bulkhead with a grant that allows all there is to allow in front of a server, for that server's own test suite:
 *
 *     npx tsx test/oracle/redis/suite.ts [redis|newest|valkey]
 *     ./runtest --host 127.0.0.1 --port <the port it prints> --tags "-slow -needs:repl -needs:debug"
 *
 * The suite knows no password, and administers the server that it tests: so a door stands before the proxy. It logs in
 * for each connection, and takes what no grant allows (FLUSHALL, CONFIG SET …) to the server itself, in its place among
 * the replies. At the end (SIGINT) it prints how many commands went which way, and what the proxy refused, by reason.
 */
import { connect, createServer, type Socket } from 'node:net'
import { Inbox } from '../../../protocols/inbox.ts'
import type { Args } from '../../../protocols/redis/args.ts'
import { encodeCommand, LIMITS, RequestScanner } from '../../../protocols/redis/frames.ts'
import { offlineCatalog, RedisAnalyser } from '../../../protocols/redis/index.ts'
import { REPLY, ReplyScanner } from '../../../protocols/redis/replies.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { startProxy } from '../../support/proxy.ts'
import { STARTERS } from '../../support/servers.ts'

/** The database that the suite uses. */
const DATABASE = 9

const NAMED =
  '+eval +eval_ro +evalsha +evalsha_ro +fcall +fcall_ro +script|load +script|exists +function|list +function|stats +restore'

/** Without a subscription before them each of their channels is one reply, or none of them. */
const UNSUBSCRIBES: ReadonlySet<string> = new Set(['unsubscribe', 'punsubscribe', 'sunsubscribe'])

const analyser = new RedisAnalyser(offlineCatalog({ database: DATABASE }))
const counts = { proxied: 0, direct: 0 }
const refusals = new Map<string, number>()

/** What the suite does to the server and not through it. */
function isForTheServer(args: Args): boolean {
  const name = args.word(0)
  const subcommand = name === 'client' && args.count > 1 ? args.word(1) : undefined
  if (name === 'info' || subcommand === 'id') return true
  // The server would fall silent, and the door wait for ever.
  if (subcommand === 'reply') return false
  const analysis = analyser.read(args)
  return (
    analysis.outcome === 'forbidden' || (analysis.outcome === 'hop' && analysis.hop !== 'identity_switch')
  )
}

/** One leg of a connection, and how many replies it owes. */
class Leg {
  readonly socket: Socket
  readonly #inbox = new Inbox()
  readonly #replies = new ReplyScanner(this.#inbox)
  readonly #give: (bytes: Buffer) => void
  readonly #isProxy: boolean
  #inReply = false
  /** True once what comes is no reply but the stream of a replica. */
  isStream = false
  owed = 0
  settled: () => void = () => undefined

  constructor(socket: Socket, isProxy: boolean, give: (bytes: Buffer) => void) {
    this.socket = socket
    this.#isProxy = isProxy
    this.#give = give
    socket.on('data', (chunk) => this.#data(chunk))
  }

  #data(chunk: Buffer): void {
    if (this.isStream) {
      this.#give(chunk)
      return
    }
    this.#inbox.push(chunk)
    for (;;) {
      if (!this.#inReply) {
        if (this.#inbox.length === this.#replies.at || !this.#replies.begin()) break
        this.#inReply = true
        if (this.#isProxy && this.#replies.type === REPLY.error) this.#note(this.#replies.line())
        if (this.#replies.type !== REPLY.push) this.owed -= 1
      }
      const walked = this.#replies.walk()
      if (walked === 'more') break
      if (walked === 'redirection') this.#replies.skipLine()
      else this.#inReply = false
    }
    const size = this.#replies.at
    this.#replies.at = 0
    this.#give(this.#inbox.take(size))
    if (this.owed <= 0 && !this.#inReply) this.settled()
  }

  #note(line: string): void {
    if (!/bulkhead|grant|NOPERM|proxy|not passed on|queued in a transaction here/.test(line)) return
    const reason = line.replaceAll(/r-suite|\d+/g, 'N').slice(0, 110)
    refusals.set(reason, (refusals.get(reason) ?? 0) + 1)
  }
}

type Ends = {
  readonly proxyPort: number
  readonly token: string
  readonly serverPort: number
  readonly password: string
}

class Door {
  readonly #client: Socket
  readonly #inbox = new Inbox()
  readonly #requests = new RequestScanner(this.#inbox, LIMITS)
  readonly #proxy: Leg
  readonly #server: Leg
  #inMulti = false
  #isResp3 = false
  /** True while a command that was read waits for the replies before it. */
  #waits = false
  /**
   * Once there may be subscriptions, whose messages come uncounted, or bytes that are no command, everything goes to the
   * proxy as it is.
   */
  #blind = false

  private constructor(client: Socket, proxy: Socket, server: Socket) {
    this.#client = client
    const give = (bytes: Buffer): void => {
      client.write(bytes)
    }
    this.#proxy = new Leg(proxy, true, give)
    this.#server = new Leg(server, false, give)
    this.#proxy.settled = () => this.#step()
    this.#server.settled = () => this.#step()
    for (const socket of [client, proxy, server]) {
      socket.on('error', () => this.#end())
      socket.on('close', () => this.#end())
    }
    client.on('data', (chunk) => {
      this.#inbox.push(chunk)
      this.#step()
    })
  }

  static async open(client: Socket, ends: Ends): Promise<void> {
    client.pause()
    const proxy = await loggedIn(ends.proxyPort, [['AUTH', 'r-suite', ends.token]])
    const server = await loggedIn(ends.serverPort, [
      ['AUTH', ends.password],
      ['SELECT', String(DATABASE)],
    ])
    new Door(client, proxy, server)
    client.resume()
  }

  #end(): void {
    for (const socket of [this.#client, this.#proxy.socket, this.#server.socket]) socket.destroy()
  }

  #step(): void {
    try {
      while (!this.#blind && this.#server.owed === 0 && (this.#waits || this.#requests.next())) {
        const { args, size } = this.#requests
        this.#waits = false
        if (!this.#inMulti && isForTheServer(args)) {
          if (this.#proxy.owed > 0) {
            // Its turn comes when the replies before it are there.
            this.#waits = true
            return
          }
          counts.direct += 1
          this.#server.owed += 1
          this.#server.isStream = args.word(0) === 'sync' || args.word(0) === 'psync'
          this.#server.socket.write(this.#inbox.take(size))
          return
        }
        this.#forward(args, size)
      }
    } catch {
      this.#blind = true
    }
    if (this.#blind) this.#proxy.socket.write(this.#inbox.takeAll())
  }

  #forward(args: Args, size: number): void {
    const name = args.word(0) ?? ''
    if (name === 'multi') this.#inMulti = true
    if (name === 'exec' || name === 'discard') this.#inMulti = false
    if (name === 'hello' && args.count > 1) this.#isResp3 = args.word(1) === '3'
    let replies = 1
    if (UNSUBSCRIBES.has(name) && !this.#isResp3) replies = Math.max(1, args.count - 1)
    else if (name.endsWith('subscribe')) this.#blind = true
    counts.proxied += 1
    this.#proxy.owed += replies
    this.#proxy.socket.write(this.#inbox.take(size))
  }
}

function loggedIn(port: number, commands: readonly string[][]): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    let said = ''
    const listen = (chunk: Buffer): void => {
      said += chunk.toString()
      if (said !== '+OK\r\n'.repeat(commands.length)) return
      socket.off('data', listen)
      resolve(socket)
    }
    socket.on('data', listen)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error(said)))
    for (const words of commands) socket.write(encodeCommand(words))
  })
}

async function main(): Promise<void> {
  process.env['BULKHEAD_TEST_REDIS_KIND'] = process.argv[2]?.replace(/^redis$/, '') ?? ''
  const settings = ['--enable-debug-command', 'local', '--databases', '16']
  const server = await STARTERS.redis({ folder: temporaryFolder(), settings })
  const { port, password = '' } = server
  const proxy = await startProxy({
    systems: {
      all: { protocol: 'redis', backend: { url: `redis://:${password}@127.0.0.1:${port}/${DATABASE}` } },
    },
    grants: {
      all: { system: 'all', allow: [`allcommands ${NAMED} allkeys allchannels &__key*`], metadata: 'none' },
    },
  })
  const token = await proxy.token('all', 'r-suite', { ttlMs: 10 * 3_600_000 })
  const ends = { proxyPort: proxy.address('all').port, token, serverPort: port, password }
  const door = createServer({ noDelay: true }, (client) => {
    client.on('error', () => undefined)
    Door.open(client, ends).catch(() => client.destroy())
  })
  door.listen(0, '127.0.0.1', () => {
    process.stdout.write(`${server.kind} ${server.version}: ${JSON.stringify(door.address())}\n`)
  })
  process.once('SIGINT', () => {
    process.stdout.write(`${JSON.stringify(counts)}\n`)
    for (const [reason, count] of [...refusals].sort((a, b) => b[1] - a[1])) {
      process.stdout.write(`${String(count).padStart(8)}  ${reason}\n`)
    }
    door.close()
    const exit = (): never => process.exit(0)
    Promise.allSettled([proxy.stop(), server.stop()]).then(exit, exit)
  })
}

await main()
