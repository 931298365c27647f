/** What goes between the relay's thread and the exporters'. */
import type { ExporterName } from './exporter.ts'

export type ToThread =
  /** Whole lines of the audit file, in its order. */
  | { readonly kind: 'records'; readonly buffer: ArrayBuffer; readonly bytes: number }
  | { readonly kind: 'close'; readonly graceMs: number }

export type FromThread =
  /** A batch is with the exporters; its memory comes back. */
  | { readonly kind: 'taken'; readonly buffer: ArrayBuffer; readonly bytes: number }
  /** Records since the last such message, and those that wait now: they are lost if the thread is. */
  | {
      readonly kind: 'counts'
      readonly exporter: ExporterName
      readonly sent: number
      readonly dropped: number
      readonly held: number
    }
  /** Why an exporter fails now; at most once a minute of each. */
  | { readonly kind: 'trouble'; readonly exporter: ExporterName; readonly message: string }
  /** Everything was sent or given up: the thread can be ended. */
  | { readonly kind: 'closed' }
