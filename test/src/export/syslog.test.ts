import assert from 'node:assert/strict'
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { test } from 'node:test'
import { Syslog } from '../../../src/export/syslog.ts'
import { ALLOWED, DENIED, HOP, LINE_BYTES, record } from './records.ts'

/** RFC 5424: priority and version, time, host, application, process, message id, no structured data, message. */
const MESSAGE = /^<(\d+)>1 (\S+) \S+ bulkhead \d+ (\S+) - (\{.*\})\n?$/

function parsed(text: string): {
  priority: number
  time: string
  id: string
  event: Record<string, unknown>
} {
  const [, priority, time = '', id = '', json = ''] = MESSAGE.exec(text) ?? []
  assert.ok(priority !== undefined, `no syslog message: ${text}`)
  return { priority: Number(priority), time, id, event: JSON.parse(json) as Record<string, unknown> }
}

/** Facility `audit`. */
const AUDIT = 13 * 8

type TcpReceiver = { readonly server: Server; readonly port: number; lines(count: number): Promise<string[]> }

async function tcpReceiver(port = 0): Promise<TcpReceiver> {
  let text = ''
  const server = createServer((socket: Socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8')
      server.emit('more')
    })
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const lines = (): string[] => text.split('\n').slice(0, -1)
  return {
    server,
    port: (server.address() as AddressInfo).port,
    async lines(count) {
      while (lines().length < count) await once(server, 'more')
      return lines()
    },
  }
}

test('records arrive by UDP as OCSF events in RFC 5424, with their urgency', async () => {
  const socket: UdpSocket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const messages: string[] = []
  socket.on('message', (message) => {
    messages.push(message.toString('utf8'))
    socket.emit('more')
  })
  const counts = { sent: 0, dropped: 0 }
  const syslog = new Syslog(
    { host: '127.0.0.1', port: socket.address().port, protocol: 'udp' },
    (outcome, records) => {
      counts[outcome] += records
    },
  )
  for (const one of [ALLOWED, DENIED, HOP]) syslog.offer(one, LINE_BYTES)
  while (messages.length < 3) await once(socket, 'more')
  await syslog.close(5_000)
  socket.close()
  const [allowed, denied, hop] = messages.map(parsed)
  assert.deepEqual(
    [allowed, denied, hop].map((one) => [one?.priority, one?.id]),
    [
      [AUDIT + 6, 'statement'],
      [AUDIT + 4, 'statement'],
      [AUDIT + 1, 'hop'],
    ],
  )
  assert.equal(hop?.time, '2026-11-23T10:15:30.123Z')
  assert.equal(hop?.event['class_uid'], 2004)
  assert.deepEqual(counts, { sent: 3, dropped: 0 })
})

test('records that a TCP receiver could not take while it was down arrive when it is back', async () => {
  const first = await tcpReceiver()
  const { port } = first
  first.server.close()
  await once(first.server, 'close')
  const counts = { sent: 0, dropped: 0 }
  const syslog = new Syslog({ host: '127.0.0.1', port, protocol: 'tcp' }, (outcome, records) => {
    counts[outcome] += records
  })
  for (const one of [ALLOWED, DENIED, HOP]) syslog.offer(one, LINE_BYTES)
  const again = await tcpReceiver(port)
  const lines = await again.lines(3)
  await syslog.close(5_000)
  again.server.close()
  assert.deepEqual(
    lines.map((line) => (parsed(line).event['metadata'] as { readonly sequence: number }).sequence),
    [ALLOWED.seq, DENIED.seq, HOP.seq],
  )
  assert.deepEqual(counts, { sent: 3, dropped: 0 })
})

test('a statement with line breaks stays one message', async () => {
  const receiver = await tcpReceiver()
  const syslog = new Syslog({ host: '127.0.0.1', port: receiver.port, protocol: 'tcp' }, () => undefined)
  syslog.offer(
    record('statement', 1, { statement: 'select 1\n<13>1 forged\n', action: 'select', verdict: 'allow' }),
    LINE_BYTES,
  )
  const [line = ''] = await receiver.lines(1)
  await syslog.close(5_000)
  receiver.server.close()
  const { query_string: text } = parsed(line).event['query_info'] as { readonly query_string: string }
  assert.equal(text, 'select 1\n<13>1 forged\n')
})

test('a record that no datagram carries is sent without its lists, and holds up none behind it', async () => {
  const socket: UdpSocket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const messages: string[] = []
  socket.on('message', (message) => {
    messages.push(message.toString('utf8'))
    socket.emit('more')
  })
  const syslog = new Syslog(
    { host: '127.0.0.1', port: socket.address().port, protocol: 'udp' },
    () => undefined,
  )
  const lines = Array.from({ length: 16 }, () => `select on "${'é'.repeat(200)}"`)
  const narrowedOften = { allow: lines, narrowed: Array.from({ length: 8 }, () => lines) }
  syslog.offer(record('session.start', 1, { judged_by: narrowedOften, note: 'short' }), LINE_BYTES)
  syslog.offer(HOP, LINE_BYTES)
  while (messages.length < 2) await once(socket, 'more')
  await syslog.close(5_000)
  socket.close()
  const [start, hop] = messages.map(parsed)
  assert.deepEqual(start?.event['unmapped'], { prev: '0'.repeat(64), note: 'short' })
  assert.equal(hop?.id, 'hop')
})

test('a receiver that nobody finds keeps nobody at the end, and what it did not take is counted', async () => {
  const counts = { sent: 0, dropped: 0 }
  const gone = await tcpReceiver()
  gone.server.close()
  await once(gone.server, 'close')
  const syslog = new Syslog({ host: '127.0.0.1', port: gone.port, protocol: 'tcp' }, (outcome, records) => {
    counts[outcome] += records
  })
  for (let seq = 0; seq < 10_050; seq += 1) syslog.offer(record('statement', seq), LINE_BYTES)
  assert.deepEqual(counts, { sent: 0, dropped: 50 })
  await syslog.close(30)
  assert.deepEqual(counts, { sent: 0, dropped: 10_050 })
})
