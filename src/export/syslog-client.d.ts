/** What this project uses of the package, which brings no types of its own. */
declare module 'syslog-client' {
  export const Transport: { readonly Tcp: 1; readonly Udp: 2 }
  export const Facility: { readonly Audit: 13 }
  export const Severity: {
    readonly Alert: 1
    readonly Error: 3
    readonly Warning: 4
    readonly Informational: 6
  }
  export type Client = {
    log(
      message: string,
      options: { readonly severity: number; readonly msgid: string; readonly timestamp: Date },
      done: (error?: Error) => void,
    ): void
    on(event: 'error', listener: (error: Error) => void): void
    close(): void
  }
  export function createClient(
    target: string,
    options: {
      readonly port: number
      readonly transport: 1 | 2
      readonly facility: number
      readonly rfc3164: false
      readonly appName: string
      /** Milliseconds, also for a connection that is idle. */
      readonly tcpTimeout: number
    },
  ): Client
}
