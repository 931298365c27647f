/** Addresses of listeners, as they are written and as a client on this machine reaches them. */
import type { Address } from '../config/config.ts'

/** A listener on every interface is reached by loopback. */
export function reachable({ host, port }: Address): Address {
  if (host === '0.0.0.0') return { host: '127.0.0.1', port }
  return { host: host === '::' ? '::1' : host, port }
}

/** `127.0.0.1:6432`, `[::1]:6432`. */
export function addressText({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
