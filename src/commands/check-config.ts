import { stringify } from 'yaml'
import { type LoadedConfig, loadConfig } from '../config/load.ts'
import type { WrittenConfiguration } from '../config/schema.ts'
import { stateFileBeside } from '../config/sections.ts'
import { bytesText, durationText, limitsText } from '../grants/limits.ts'
import { addressText } from './address.ts'

const REDACTED = '********'

/** Prints the configuration as it is understood. @throws ConfigError */
export function checkConfig(options: { readonly config: string; readonly json?: boolean }): void {
  const loaded = loadConfig(options.config, { environment: process.env, secrets: 'required' })
  const shown = redacted(resolved(loaded))
  process.stdout.write(
    options.json ? `${JSON.stringify(shown)}\n` : `# ${loaded.config.file}: no problems\n${stringify(shown)}`,
  )
}

/** With the defaults that follow from other keys. */
export function resolved({ config, written }: LoadedConfig): WrittenConfiguration {
  const systems = Object.entries(written.systems).map(([name, system]) => {
    const { tls } = config.systems.get(name)?.backend ?? {}
    return [name, system.backend && tls ? { ...system, backend: { ...system.backend, tls } } : system]
  })
  const { listen } = config.admin
  return {
    ...written,
    systems: Object.fromEntries(systems) as WrittenConfiguration['systems'],
    admin: { ...written.admin, ...(listen !== undefined && { listen }) },
    state: { file: written.state.file ?? stateFileBeside(written.audit.file) },
  }
}

/** The configuration without its secrets, and with its times, sizes and addresses as people write them. */
export function redacted(written: WrittenConfiguration): unknown {
  return {
    ...written,
    systems: Object.fromEntries(
      Object.entries(written.systems).map(([name, system]) => [
        name,
        {
          ...system,
          listen: addressText(system.listen),
          limits: limitsText(system.limits),
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
        { ...grant, limits: limitsText(grant.limits) },
      ]),
    ),
    tokens: { clock_skew: durationText(written.tokens.clock_skew) },
    audit: auditText(written.audit),
    admin: {
      ...written.admin,
      ...(written.admin.listen && { listen: addressText(written.admin.listen) }),
      ...(written.admin.token !== undefined && { token: REDACTED }),
    },
    drain: durationText(written.drain),
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

function auditText(audit: WrittenConfiguration['audit']): unknown {
  const { size, every } = audit.rotate
  return {
    ...audit,
    fsync_interval: durationText(audit.fsync_interval),
    rotate: {
      ...(size !== undefined && { size: bytesText(size) }),
      ...(every !== undefined && { every: durationText(every) }),
    },
    ...(audit.checkpoint && {
      checkpoint: { ...audit.checkpoint, every: durationText(audit.checkpoint.every) },
    }),
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
