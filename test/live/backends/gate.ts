/** What stands between a proxy and a real server, and does there what networks and dying servers do. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

export type Gate = {
  readonly port: number
  /** Connections that come from now on reach the server. */
  open(): void
  /** Connections that come from now on are served by this instead. */
  instead(serve: (socket: Socket) => void): void
  /** Ends every connection through the gate, and those that come from now on. */
  cut(): void
  /** Ends the oldest connection, and those that come from now on. */
  cutOldest(): void
  /** Reads nothing more of the connection that came last, until what is given back is called. */
  freeze(): () => void
  /** As if the server had sent this on the connection that came last. */
  inject(bytes: Buffer): void
  close(): Promise<void>
}

/** @param port where the server is, on this machine */
export async function openGate(port: number): Promise<Gate> {
  const sockets = new Set<Socket>()
  let last: { readonly socket: Socket; readonly server: Socket } | undefined
  const keep = (socket: Socket): void => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
  }
  const pass = (socket: Socket): void => {
    const server = connect(port, '127.0.0.1')
    keep(server)
    last = { socket, server }
    socket.pipe(server)
    server.pipe(socket)
    socket.on('close', () => server.destroy())
    server.on('close', () => socket.destroy())
  }
  let serve = pass
  const listener: Server = createServer((socket) => {
    keep(socket)
    serve(socket)
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const destroyAll = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (listener.address() as AddressInfo).port,
    open: () => {
      serve = pass
    },
    instead: (other) => {
      serve = other
    },
    cut: () => {
      serve = (socket) => socket.destroy()
      destroyAll()
    },
    cutOldest: () => {
      serve = (socket) => socket.destroy()
      for (const socket of sockets) return void socket.destroy()
    },
    inject: (bytes) => {
      last?.socket.write(bytes)
    },
    freeze: () => {
      const frozen = last
      frozen?.socket.unpipe(frozen.server)
      frozen?.socket.pause()
      return () => frozen?.socket.pipe(frozen.server)
    },
    close: () => {
      destroyAll()
      return new Promise((resolve) => listener.close(() => resolve()))
    },
  }
}
