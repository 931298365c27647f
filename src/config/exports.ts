/** Where records go besides the file, as written and checked. */

import { z } from 'zod'
import {
  type ExportSettings,
  type OtlpSettings,
  WEBHOOK_EVENTS,
  type WebhookSettings,
} from '../export/exporter.ts'
import type { Reporter } from './config.ts'
import { isLoopback } from './sections.ts'

/** The path of an OpenTelemetry collector for logs, where the address names none. */
const OTLP_PATH = '/v1/logs'

/** Standard Webhooks asks for keys of 24 bytes and more. */
const SECRET_BYTES_MIN = 24

const cleartext = z.boolean().default(false)

export const writtenWebhook = z.strictObject({
  url: z.string(),
  secret: z.string(),
  events: z
    .array(z.enum(WEBHOOK_EVENTS))
    .min(1)
    .default([...WEBHOOK_EVENTS]),
  allow_cleartext: cleartext,
})

export const writtenExport = z.strictObject({
  otlp: z
    .strictObject({
      url: z.string(),
      headers: z
        .record(
          z.string().regex(/^[\w!#$%&'*+.^`|~-]+$/, 'write a header name'),
          z.string().regex(/^[\t\x20-\x7e]*$/, 'write one line of printable ASCII'),
        )
        .default({}),
      allow_cleartext: cleartext,
    })
    .optional(),
  syslog: z
    .strictObject({
      host: z.string().min(1),
      port: z.int().min(1).max(65_535).default(514),
      protocol: z.enum(['udp', 'tcp']).default('udp'),
      allow_cleartext: cleartext,
    })
    .optional(),
})

type Written = {
  readonly webhook?: z.output<typeof writtenWebhook> | undefined
  readonly export: z.output<typeof writtenExport>
}

/** @param secrets `optional`: one that is not there is empty, and no problem */
export function readExports(
  written: Written,
  secrets: 'required' | 'optional',
  report: Reporter,
): ExportSettings {
  const { otlp, syslog } = written.export
  if (syslog !== undefined && !syslog.allow_cleartext && !isLoopback(syslog.host)) {
    report(['export', 'syslog', 'host'], 'statements would cross a network in clear text', {
      mend: 'name a syslog agent on this machine, which can carry them on under TLS, or write `allow_cleartext: true`',
    })
  }
  return {
    webhook: written.webhook && readWebhook(written.webhook, secrets, report),
    otlp: otlp && readOtlp(otlp, report),
    syslog: syslog && { host: syslog.host, port: syslog.port, protocol: syslog.protocol },
  }
}

function readWebhook(
  written: NonNullable<Written['webhook']>,
  secrets: 'required' | 'optional',
  report: Reporter,
): WebhookSettings | undefined {
  const url = readUrl(written, ['webhook', 'url'], report)
  if (secrets === 'required' && keyBytes(written.secret) < SECRET_BYTES_MIN) {
    report(['webhook', 'secret'], `shorter than ${SECRET_BYTES_MIN} bytes`, {
      mend: 'make one with `echo whsec_$(openssl rand -base64 32)`, and give it by an environment variable or a file',
    })
  }
  return url && { url: url.href, secret: written.secret, events: written.events }
}

function keyBytes(secret: string): number {
  return secret.startsWith('whsec_')
    ? Buffer.from(secret.slice('whsec_'.length), 'base64').length
    : Buffer.byteLength(secret)
}

function readOtlp(
  written: NonNullable<Written['export']['otlp']>,
  report: Reporter,
): OtlpSettings | undefined {
  const url = readUrl(written, ['export', 'otlp', 'url'], report)
  if (url?.pathname === '/') url.pathname = OTLP_PATH
  return url && { url: url.href, headers: written.headers }
}

function readUrl(
  { url: text, allow_cleartext: allowed }: { readonly url: string; readonly allow_cleartext: boolean },
  path: readonly string[],
  report: Reporter,
): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isPlain = url?.username === '' && url.password === ''
  if (url === undefined || !['http:', 'https:'].includes(url.protocol) || !isPlain) {
    report(path, 'not an address to send to', {
      mend: 'write `https://host/path`, without a user: secrets go into `headers` or `secret`',
    })
    return undefined
  }
  if (url.protocol === 'http:' && !allowed && !isLoopback(url.hostname)) {
    report(path, 'records would cross a network in clear text', {
      mend: 'write `https://…`, or `allow_cleartext: true`',
    })
  }
  return url
}
