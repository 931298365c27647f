/**
 * The yardstick: a relay that looks at nothing. What Bulkhead costs beyond this is the price of looking; what this
 * costs beyond a direct connection is the price of a process in between.
 * `node blind-relay.js PORT` relays a free loopback port, which it prints, to PORT.
 */
import { connect, createServer, type Socket } from 'node:net'

const target = Number(process.argv[2])

const server = createServer((client) => {
  const upstream = connect({ host: '127.0.0.1', port: target, noDelay: true })
  client.setNoDelay(true)
  join(client, upstream)
  join(upstream, client)
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (address !== null && typeof address === 'object') process.stdout.write(`${address.port}\n`)
})
// Ends with whoever started it.
process.stdin.on('end', () => process.exit(0)).resume()

function join(from: Socket, to: Socket): void {
  from.on('data', (chunk) => {
    if (!to.write(chunk)) from.pause()
  })
  to.on('drain', () => from.resume())
  from.on('close', () => to.destroy())
  from.on('error', () => to.destroy())
}
