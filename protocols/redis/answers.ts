/** Commands that the proxy answers itself: the server's answers would tell of itself and of others. */
import type { Args } from './args.ts'
import { errorReply } from './errors.ts'
import { CLIENT_NAME, CLIENT_NAME_BYTES_MAX } from './hello.ts'

/** What the answers tell of. */
export type ClientFacts = {
  readonly server: 'redis' | 'valkey'
  readonly serverVersion: string
  readonly user: string
  readonly connectionId: number
  readonly database: number
}

/** What a client may set about itself; the backend's own entry keeps the proxy's name. */
export class ClientEntry {
  name: string
  libName = ''
  libVersion = ''
  /** RESP version of the replies that pass now. */
  version: 2 | 3
  /** The version once the server has answered every HELLO that was sent: what our own answers are made in. */
  asked: 2 | 3

  constructor(version: 2 | 3, name: string | undefined) {
    this.version = version
    this.asked = version
    this.name = name ?? ''
  }
}

const OK = Buffer.from('+OK\r\n')
const NULL_RESP2 = Buffer.from('$-1\r\n')
const NULL_RESP3 = Buffer.from('_\r\n')

/** The answer to a command of the vetted table that is marked as answered here. */
export function answer(command: string, args: Args, client: ClientEntry, facts: ClientFacts): Buffer {
  switch (command) {
    case 'acl|whoami':
      return text(facts.user, client.asked, false)
    case 'client|getname':
      if (client.name !== '') return text(client.name, client.asked, false)
      return client.asked === 3 ? NULL_RESP3 : NULL_RESP2
    case 'client|id':
      return Buffer.from(`:${facts.connectionId}\r\n`)
    case 'client|info':
      return text(clientInfo(client, facts), client.asked, true)
    case 'client|setname':
      return setName(args, client)
    case 'client|setinfo':
      return setInfo(args, client)
    case 'info':
      return text(serverInfo(facts), client.asked, true)
    default:
      throw new Error(`\`${command}\` has no answer here`)
  }
}

/** A bulk string; where the server would send a verbatim one in RESP3, that. */
function text(value: string, version: 2 | 3, verbatim: boolean): Buffer {
  const bytes = Buffer.from(value, 'latin1')
  const head = version === 3 && verbatim ? `=${bytes.length + 4}\r\ntxt:` : `$${bytes.length}\r\n`
  return Buffer.concat([Buffer.from(head), bytes, Buffer.from('\r\n')])
}

function setName(args: Args, client: ClientEntry): Buffer {
  if (!args.isPlain(2) || args.size(2) > CLIENT_NAME_BYTES_MAX) return errorReply('ERR', CLIENT_NAME)
  client.name = args.latin1(2)
  return OK
}

function setInfo(args: Args, client: ClientEntry): Buffer {
  const attribute = args.word(2)
  if (attribute !== 'lib-name' && attribute !== 'lib-ver') {
    return errorReply('ERR', `Unrecognized option '${attribute ?? ''}'`)
  }
  if (!args.isPlain(3) || args.size(3) > CLIENT_NAME_BYTES_MAX) {
    return errorReply('ERR', `${attribute} cannot contain spaces, newlines or special characters.`)
  }
  if (attribute === 'lib-name') client.libName = args.latin1(3)
  else client.libVersion = args.latin1(3)
  return OK
}

/** The members of the server's line that say nothing of addresses, memory or others. */
function clientInfo(client: ClientEntry, facts: ClientFacts): string {
  const members = [
    `id=${facts.connectionId}`,
    'addr=?:0',
    'laddr=?:0',
    `name=${client.name}`,
    'flags=N',
    `db=${facts.database}`,
    `user=${facts.user}`,
    `resp=${client.asked}`,
    `lib-name=${client.libName}`,
    `lib-ver=${client.libVersion}`,
  ]
  return `${members.join(' ')}\n`
}

/** What drivers look for when they ask whether the server is ready. */
function serverInfo({ server, serverVersion }: ClientFacts): string {
  // Valkey reports the Redis version that it is compatible with under the old name.
  const versions =
    server === 'valkey'
      ? ['redis_version:7.2.4', 'server_name:valkey', `valkey_version:${serverVersion}`]
      : [`redis_version:${serverVersion}`]
  return [
    '# Server',
    ...versions,
    'redis_mode:standalone',
    '',
    '# Persistence',
    'loading:0',
    'async_loading:0',
    '',
    '# Replication',
    'role:master',
    '',
    '# Cluster',
    'cluster_enabled:0',
    '',
  ].join('\r\n')
}
