/**
 * There is no Docker engine where these tests run, so `docker compose up` is held to what can be read: that every
 * file it mounts exists, that it agrees with the configuration that it mounts, and that it gives no needless right.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { parse } from 'yaml'
import { writeKeys } from '../src/commands/init.ts'
import { loadConfig } from '../src/config/load.ts'
import { GRANTS } from '../src/demo/configuration.ts'
import { projectFolder } from '../src/demo/servers/cache.ts'

type Service = {
  readonly image?: string
  readonly build?: string
  readonly environment?: Readonly<Record<string, string>>
  readonly volumes?: readonly string[]
  readonly ports?: readonly string[]
  readonly networks?: readonly string[]
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly healthcheck?: { readonly test: readonly string[] }
} & Readonly<Record<string, unknown>>

type Compose = {
  readonly services: Readonly<Record<string, Service>>
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>
  readonly volumes: Readonly<Record<string, unknown>>
}

const read = (path: string): string => readFileSync(join(projectFolder(), path), 'utf8')
const compose = parse(read('docker-compose.yml')) as Compose
const services = Object.entries(compose.services)
const bulkhead = compose.services['bulkhead'] as Service

const folder = mkdtempSync(join(tmpdir(), 'bulkhead-test-'))
after(() => rmSync(folder, { recursive: true }))

/** The mounted configuration, with keys made for it. */
async function mountedConfiguration() {
  await writeKeys(folder)
  const path = join(folder, 'bulkhead.yaml')
  writeFileSync(path, read('docker/bulkhead.yaml').replaceAll('/var/lib/bulkhead', folder))
  const environment = bulkhead.environment ?? {}
  return loadConfig(path, { environment, secrets: 'required' }).config
}

test('every file and named volume that is mounted exists, and files are mounted read-only', () => {
  for (const [name, { volumes = [] }] of services) {
    for (const volume of volumes) {
      const [source = '', target, mode] = volume.split(':')
      assert.ok(target?.startsWith('/'), `${name}: ${volume}`)
      if (source.startsWith('./')) {
        assert.ok(existsSync(join(projectFolder(), source)), `${name}: ${source} does not exist`)
        assert.equal(mode, 'ro', `${name}: ${source} can be written`)
      } else assert.ok(source in compose.volumes, `${name}: ${source} is not declared`)
    }
  }
})

test('scripts that an image runs are executable', () => {
  for (const script of ['docker/shop-account.sh', 'docker/crm-account.sh']) {
    assert.equal(statSync(join(projectFolder(), script)).mode & 0o111, 0o111, script)
  }
})

test('images are pinned to a major version', () => {
  for (const [name, { image, build }] of services) {
    if (build !== undefined) continue
    assert.match(image ?? '', /^[a-z/]+:\d+(\.\d+)*(-[a-z]+)?$/, name)
  }
  for (const [, image] of read('Dockerfile').matchAll(/^FROM (\S+)/gm)) assert.match(image ?? '', /:\d+/)
})

test('no service is privileged, shares a namespace of the host or mounts the Docker socket', () => {
  for (const [name, service] of services) {
    for (const key of ['privileged', 'pid', 'ipc', 'cap_add', 'devices', 'userns_mode']) {
      assert.equal(service[key], undefined, `${name} has ${key}`)
    }
    assert.notEqual(service['network_mode'], 'host', name)
    assert.ok(!JSON.stringify(service.volumes ?? []).includes('docker.sock'), name)
  }
})

test('what runs our image has a read-only file system, no capability and no way to new privileges', () => {
  const ours = services.filter(([, { build }]) => build !== undefined)
  assert.deepEqual(ours.map(([name]) => name).sort(), ['bulkhead', 'keys'])
  for (const [name, service] of ours) {
    assert.equal(service['read_only'], true, name)
    assert.deepEqual(service['cap_drop'], ['ALL'], name)
    assert.deepEqual(service['security_opt'], ['no-new-privileges:true'], name)
  }
  assert.match(read('Dockerfile'), /^USER node$/m)
})

test('whatever is waited for until it is healthy says how its health is seen', () => {
  for (const [name, { depends_on = {} }] of services) {
    for (const [other, { condition }] of Object.entries(depends_on)) {
      const service = compose.services[other]
      assert.ok(service, `${name} waits for ${other}, which does not exist`)
      if (condition === 'service_healthy') assert.ok((service.healthcheck?.test.length ?? 0) > 1, other)
      else assert.equal(condition, 'service_completed_successfully')
    }
  }
  assert.match(read('Dockerfile'), /^HEALTHCHECK /m)
})

test('the databases publish no port, and their network reaches nothing outside', () => {
  for (const name of ['shop', 'crm', 'carts']) {
    assert.equal(compose.services[name]?.ports, undefined, name)
    assert.deepEqual(compose.services[name]?.networks, ['backends'], name)
  }
  assert.equal(compose.networks['backends']?.internal, true)
})

test('the mounted configuration is valid and listens where compose publishes, on loopback only', async () => {
  const config = await mountedConfiguration()
  const listening = [...config.systems.values()].map(({ listen }) => listen.port)
  for (const published of bulkhead.ports ?? []) {
    const [host, outside, inside] = published.split(':')
    assert.equal(host, '127.0.0.1')
    assert.equal(outside, inside)
    assert.ok([...listening, config.admin.port].includes(Number(inside)), `nothing listens on ${inside}`)
  }
  for (const system of config.systems.values()) {
    assert.ok(
      system.decoy || bulkhead.ports?.some((port) => port.endsWith(`:${system.listen.port}`)),
      system.name,
    )
    if (system.backend !== undefined) assert.ok(system.backend.host in compose.services, system.backend.host)
  }
})

test('the mounted configuration and the demo give the same grants', () => {
  const { grants } = parse(read('docker/bulkhead.yaml')) as { grants: unknown }
  const expected = Object.entries(GRANTS).map(([system, { name, ...grant }]) => [name, { system, ...grant }])
  assert.deepEqual(grants, Object.fromEntries(expected))
})

test('everything that the build copies is let through to it, and nothing else', () => {
  const copied = [...read('Dockerfile').matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, paths]) =>
    (paths ?? '').split(' '),
  )
  const ignored = read('.dockerignore').split('\n').filter(Boolean)
  assert.equal(ignored[0], '**')
  assert.deepEqual(
    ignored
      .slice(1)
      .map((line) => line.replace(/^!/, ''))
      .sort(),
    [...copied].sort(),
  )
  for (const path of copied) assert.ok(existsSync(join(projectFolder(), path)), path)
})
