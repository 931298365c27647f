import { stringify } from 'yaml'
import { loadConfig } from '../config/load.ts'
import type { WrittenConfiguration } from '../config/schema.ts'
import { addressText } from './address.ts'

const REDACTED = '********'

/** Prints the configuration as it is understood. @throws ConfigError */
export function checkConfig(options: { readonly config: string; readonly json?: boolean }): void {
  const { config, written } = loadConfig(options.config, { environment: process.env, secrets: 'required' })
  const shown = redacted(written)
  process.stdout.write(
    options.json ? `${JSON.stringify(shown)}\n` : `# ${config.file}: no problems\n${stringify(shown)}`,
  )
}

/** The configuration without its secrets, and with its times and addresses as people write them. */
export function redacted(written: WrittenConfiguration): unknown {
  return {
    ...written,
    systems: Object.fromEntries(
      Object.entries(written.systems).map(([name, system]) => [
        name,
        {
          ...system,
          listen: addressText(system.listen),
          ...(system.backend && {
            backend: {
              ...system.backend,
              url: withoutPassword(system.backend.url),
              ...(system.backend.password !== undefined && { password: REDACTED }),
              ...(system.backend.sentinel && { sentinel: withoutSecrets(system.backend.sentinel) }),
            },
          }),
        },
      ]),
    ),
    grants: Object.fromEntries(
      Object.entries(written.grants).map(([name, grant]) => [
        name,
        {
          ...grant,
          limits: {
            ...grant.limits,
            ...(grant.limits.session !== undefined && { session: `${grant.limits.session}ms` }),
          },
        },
      ]),
    ),
    tokens: { clock_skew: `${written.tokens.clock_skew}ms` },
    admin: {
      ...written.admin,
      ...(written.admin.listen && { listen: addressText(written.admin.listen) }),
      ...(written.admin.token !== undefined && { token: REDACTED }),
    },
    drain: `${written.drain}ms`,
    ...(written.webhook && {
      webhook: { ...written.webhook, url: withoutPath(written.webhook.url), secret: REDACTED },
    }),
    export: {
      ...written.export,
      ...(written.export.otlp && {
        otlp: { ...written.export.otlp, headers: masked(written.export.otlp.headers) },
      }),
    },
  }
}

/** The paths of many receivers are secrets themselves. */
function withoutPath(text: string): string {
  const { origin, pathname, search } = new URL(text)
  return pathname === '/' && search === '' ? text : `${origin}/${REDACTED}`
}

/** A header may be a credential, whatever its name is. */
function masked(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.keys(headers).map((name) => [name, REDACTED]))
}

type WrittenSentinel = NonNullable<
  NonNullable<WrittenConfiguration['systems'][string]['backend']>['sentinel']
>

function withoutSecrets(sentinel: WrittenSentinel): unknown {
  return {
    ...sentinel,
    addresses: sentinel.addresses.map(addressText),
    ...(sentinel.password !== undefined && { password: REDACTED }),
  }
}

function withoutPassword(text: string): string {
  const url = new URL(text)
  if (url.password !== '') url.password = REDACTED
  return url.href
}
