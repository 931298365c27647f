import { stringify } from 'yaml'
import { loadConfig } from '../config/load.ts'
import type { WrittenConfiguration } from '../config/schema.ts'

const REDACTED = '********'

/** Prints the configuration as it is understood. @throws ConfigError */
export function checkConfig(options: { readonly config: string; readonly json: boolean }): void {
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
  }
}

function addressText({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function withoutPassword(text: string): string {
  const url = new URL(text)
  if (url.password !== '') url.password = REDACTED
  return url.href
}
