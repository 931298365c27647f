import type { ProtocolName } from './protocol.ts'

/**
 * A peer broke the rules of its wire protocol. Final: the connection ends, because nobody goes on talking to
 * what is no longer understood. Every other exception out of `protocols/` is a bug.
 */
export class ProtocolError extends Error {
  readonly code = 'PROTOCOL_ERROR'
  readonly protocol: ProtocolName
  /** Which side broke them: `client` is the agent, `server` the backend. */
  readonly side: 'client' | 'server'

  /** @param message one sentence for the peer and the log; never a token, a password or a backend address */
  constructor(protocol: ProtocolName, side: 'client' | 'server', message: string) {
    super(message)
    this.name = 'ProtocolError'
    this.protocol = protocol
    this.side = side
  }
}

/** Marks a branch that the types have excluded; reaching it is a bug. */
export function unreachable(value: never): never {
  throw new Error(`unhandled: ${JSON.stringify(value)}`)
}
