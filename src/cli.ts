#!/usr/bin/env node
/** The command line; the only file that ends the process. */
import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { check } from './commands/check.ts'
import { checkConfig } from './commands/check-config.ts'
import { CommandError, EXIT } from './commands/exit.ts'
import { init } from './commands/init.ts'
import { issue, TOKEN_FORMATS } from './commands/issue.ts'
import { serve } from './commands/serve.ts'
import { ConfigError } from './config/config.ts'
import { runDemo } from './demo/demo.ts'
import { KeyError } from './grants/keys.ts'

const CONFIG_DEFAULT = './bulkhead.yaml'

/** The version stands in one place, beside the compiled tree and beside the sources. */
function version(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      return (JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { version: string }).version
    } catch {
      // Sources and compiled files lie at different depths; one of the two paths is right.
    }
  }
  return 'unknown'
}

function program(): Command {
  const root = new Command('bulkhead')
    .description(
      'One grant, one system, one agent run: a proxy for PostgreSQL, MySQL/MariaDB and Redis/Valkey.',
    )
    .version(version())
    .showHelpAfterError('(see --help)')
    .exitOverride()

  const command = (name: string, description: string): Command =>
    root.command(name).description(description).exitOverride().helpOption('-h, --help', 'show this help')
  const withConfig = (sub: Command): Command =>
    sub.option('-c, --config <file>', 'the configuration', CONFIG_DEFAULT)

  withConfig(command('serve', 'run the proxy until SIGTERM or SIGINT'))
    .option('--validate', 'check the configuration, print it resolved, and end')
    .action((options: { config: string; validate?: true }) =>
      options.validate ? checkConfig({ config: options.config, json: false }) : serve(options),
    )

  withConfig(command('check-config', 'check the configuration and print it resolved, with secrets redacted'))
    .option('--json', 'print JSON', false)
    .action(checkConfig)

  command('init', 'make an issuer key pair, a TLS certificate and a starter configuration')
    .option('--folder <folder>', 'where to write them', '.')
    .action(init)

  withConfig(command('issue', 'sign a token for one run, and print how to connect with it'))
    .requiredOption('--grant <name>', 'the grant, which names the system')
    .requiredOption('--run <id>', 'the run: 1 to 64 letters, digits, `_`, `.`, `:` or `-`')
    .option('--agent <name>', 'the agent that the run belongs to', 'agent')
    .option('--ttl <duration>', 'how long the token is good', '15m')
    .option('--format <format>', `one of ${TOKEN_FORMATS.join(', ')}`, 'url')
    .option('--key <file>', 'the private key', './keys/issuer.jwk')
    .option('--json', 'the same as --format json')
    .action(issue)

  withConfig(command('check', 'try a statement against a grant, without a server: exit 0 allow, 1 deny'))
    .argument('<statement>', 'an SQL statement, or a Redis command as typed in redis-cli')
    .requiredOption('--grant <name>', 'the grant')
    .option('--json', 'print JSON', false)
    .action(check)

  command('demo', 'start three real databases and show a scripted agent meet its grants')
    .option('--once', 'end after the script; the exit code tells whether it went as expected', false)
    .action(async (options: { once: boolean }) => {
      process.exitCode = await runDemo(options)
    })

  return root
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  if (error instanceof ConfigError) {
    const count = error.problems.length
    process.stderr.write(`${error.message}\n${count} problem${count === 1 ? '' : 's'} in the configuration\n`)
    return EXIT.usage
  }
  if (error instanceof CommandError || error instanceof KeyError) {
    process.stderr.write(`bulkhead: ${error.message}\n`)
    return EXIT.usage
  }
  process.stderr.write(
    `bulkhead: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  )
  return EXIT.bug
}

try {
  await program().parseAsync()
} catch (error) {
  process.exitCode = report(error)
}
