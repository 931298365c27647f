/**
 * Who may use the admin API: whoever is on this machine and has the token. The bearer token is the lock; the rest keeps a
 * web page that an operator has open from even trying the door: a page of another name that was pointed at this machine
 * (DNS rebinding) and a form or script that posts across origins.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'
import type { HttpBindings } from '@hono/node-server'
import type { MiddlewareHandler } from 'hono'
import { isLoopback } from '../config/sections.ts'

export type GuardOptions = {
  /** `undefined`: nobody may. */
  readonly token: string | undefined
  /** The host of the listener; its name, too, may stand in the `Host` header. */
  readonly host: string | undefined
}

export function guard({ token, host }: GuardOptions): MiddlewareHandler<{ Bindings: HttpBindings }> {
  const digest = token === undefined ? undefined : sha256(token)
  return async (context, next) => {
    if (!isOnThisMachine(context.env)) {
      return context.json({ error: 'the API is served on loopback and on the unix socket only' }, 403)
    }
    if (!isOwnName(context.req.header('host'), host)) {
      return context.json({ error: 'this address is not known here' }, 403)
    }
    if (context.req.header('origin') !== undefined || isCrossSite(context.req.header('sec-fetch-site'))) {
      return context.json({ error: 'web pages may not use this' }, 403)
    }
    if (digest === undefined) {
      return context.json({ error: 'the configuration has no `admin.token`, so that nobody may' }, 403)
    }
    const shown = /^Bearer ([\x21-\x7e]+)$/i.exec(context.req.header('authorization') ?? '')?.[1]
    // Digests have one length, and comparing them tells nothing of how much of the token was right.
    if (shown === undefined || !timingSafeEqual(sha256(shown), digest)) {
      context.header('WWW-Authenticate', 'Bearer')
      return context.json({ error: 'the bearer token is missing or wrong' }, 401)
    }
    return next()
  }
}

/**
 * The token crosses the connection in clear text, so that both ends must be on this machine: the address that the client came
 * to is what the kernel says. A unix socket has none.
 */
function isOnThisMachine({ incoming }: HttpBindings): boolean {
  const { localAddress } = incoming.socket
  return localAddress === undefined || isLoopback(localAddress.replace(/^::ffff:/, ''))
}

/** Only a domain name can be pointed elsewhere: an address and `localhost` are what they say. */
function isOwnName(header: string | undefined, own: string | undefined): boolean {
  if (header === undefined) return false
  const host = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:]+))(?::\d{1,5})?$/.exec(header)
  const name = (host?.[1] ?? host?.[2] ?? '').toLowerCase()
  return name === 'localhost' || isIP(name) !== 0 || name === own?.toLowerCase()
}

function isCrossSite(site: string | undefined): boolean {
  return site !== undefined && site !== 'none' && site !== 'same-origin'
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
