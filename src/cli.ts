#!/usr/bin/env node
/** The command line; the only file that ends the process. */
import './heap.ts'
import { Command, CommanderError } from 'commander'
import type { CheckOptions } from './commands/check.ts'
import { CommandError, EXIT } from './commands/exit.ts'
import type { IssueOptions } from './commands/issue.ts'
import type { NarrowOptions } from './commands/narrow.ts'
import { ConfigError } from './config/config.ts'
import { KeyError } from './grants/keys.ts'
import { version } from './version.ts'

const CONFIG_DEFAULT = './bulkhead.yaml'

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

  // Each command loads what it needs when it is called, so that `serve` does not carry the others.
  withConfig(command('serve', 'run the proxy until SIGTERM or SIGINT'))
    .option('--validate', 'check the configuration, print it resolved, and end')
    .action(async (options: { config: string; validate?: true }) => {
      if (options.validate) {
        const { checkConfig } = await import('./commands/check-config.ts')
        checkConfig({ config: options.config, json: false })
      } else {
        const { serve } = await import('./commands/serve.ts')
        await serve(options)
      }
    })

  withConfig(command('check-config', 'check the configuration and print it resolved, with secrets redacted'))
    .option('--json', 'print JSON', false)
    .action(async (options: { config: string; json: boolean }) => {
      const { checkConfig } = await import('./commands/check-config.ts')
      checkConfig(options)
    })

  command('init', 'make an issuer key pair, a TLS certificate and a starter configuration')
    .option('--folder <folder>', 'where to write them', '.')
    .action(async (options: { folder: string }) => {
      const { init } = await import('./commands/init.ts')
      await init(options)
    })

  withConfig(command('issue', 'sign a token for one run, and print how to connect with it'))
    .requiredOption('--grant <name>', 'the grant, which names the system')
    .requiredOption('--run <id>', 'the run: 1 to 64 letters, digits, `_`, `.`, `:` or `-`')
    .option('--agent <name>', 'the agent that the run belongs to', 'agent')
    .option('--ttl <duration>', 'how long the token is good', '15m')
    .option('--format <format>', 'one of url, token, env, json', 'url')
    .option('--key <file>', 'the private key', './keys/issuer.jwk')
    .option('--no-narrow', 'a shorter token, which its holder cannot narrow')
    .option('--json', 'the same as --format json')
    .action(async (options: IssueOptions) => {
      const { issue } = await import('./commands/issue.ts')
      await issue(options)
    })

  withConfig(
    command(
      'narrow',
      'make from a token one that allows less, for a sub-agent; needs no network and no issuer',
    ),
  )
    .requiredOption(
      '--token <token>',
      'the token, or the connection URL that holds it; `-` reads standard input',
    )
    .requiredOption(
      '--allow <line>',
      'an allow line; may be given more than once',
      (line, lines: string[] | undefined) => [...(lines ?? []), line],
    )
    .option('--metadata <level>', 'how much of the catalog it shows: none, driver or introspect')
    .option('--run <id>', "the child's run: its parent's, a dot and a name (default: a random name)")
    .option('--ttl <duration>', 'how long it is good, never longer than its parent')
    .option('--format <format>', 'one of url, token, env, json (default: as the token was given)')
    .action(async (options: NarrowOptions) => {
      const { narrow } = await import('./commands/narrow.ts')
      await narrow(options)
    })

  withConfig(command('check', 'try a statement against a grant, without a server: exit 0 allow, 1 deny'))
    .argument('<statement>', 'an SQL statement, or a Redis command as typed in redis-cli')
    .requiredOption('--grant <name>', 'the grant')
    .option('--json', 'print JSON', false)
    .action(async (statement: string, options: CheckOptions) => {
      const { check } = await import('./commands/check.ts')
      await check(statement, options)
    })

  command('demo', 'start three real databases and show scripted agents meet their grants')
    .option('--once', 'end after the script; the exit code tells whether it went as expected', false)
    .action(async (options: { once: boolean }) => {
      const { runDemo } = await import('./demo/demo.ts')
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
