/**
 * There is no Docker engine where these tests run, so `docker compose up` is held to what can be read: that every
 * file it mounts exists, that it agrees with the configuration that it mounts, and that it gives no needless right.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { writeKeys } from '../src/commands/init.ts'
import { loadConfig } from '../src/config/load.ts'
import { GRANTS } from '../src/demo/configuration.ts'
import { projectFolder } from '../src/demo/servers/cache.ts'
import { temporaryFolder } from './support/folders.ts'

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

/** The mounted configuration, with keys made for it. */
async function mountedConfiguration() {
  const folder = temporaryFolder()
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
    assert.match(image ?? '', /^[a-z/]+:v?\d+(\.\d+)*(-[a-z]+)?$/, name)
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
    assert.ok(
      [...listening, config.admin.listen?.port].includes(Number(inside)),
      `nothing listens on ${inside}`,
    )
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

test('every service publishes on loopback only', () => {
  for (const [name, { ports = [] }] of services) {
    for (const port of ports) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/, name)
  }
})

test('Prometheus scrapes the admin listener of Bulkhead, by the name and on a network that both have', async () => {
  const { scrape_configs: jobs } = parse(read('docker/prometheus/prometheus.yml')) as {
    readonly scrape_configs: readonly {
      readonly job_name: string
      readonly static_configs: readonly { readonly targets: readonly string[] }[]
    }[]
  }
  const { admin } = await mountedConfiguration()
  assert.deepEqual(
    jobs.map(({ job_name, static_configs }) => [job_name, static_configs.flatMap(({ targets }) => targets)]),
    // The alert rules know the job by this name.
    [['bulkhead', [`bulkhead:${admin.listen?.port}`]]],
  )
  assert.equal(admin.listen?.host, '0.0.0.0')
  assert.ok(bulkhead.networks?.includes('monitoring'))
  assert.deepEqual(compose.services['prometheus']?.networks, ['monitoring'])
})

test('Prometheus finds its configuration and the alert rules where they are mounted', () => {
  const { volumes = [], command } = compose.services['prometheus'] as Service & {
    readonly command: readonly string[]
  }
  const configuration = '/etc/prometheus/prometheus.yml'
  assert.ok(command.includes(`--config.file=${configuration}`))
  assert.ok(volumes.includes(`./docker/prometheus/prometheus.yml:${configuration}:ro`))
  const { rule_files: patterns } = parse(read('docker/prometheus/prometheus.yml')) as {
    readonly rule_files: readonly string[]
  }
  // Relative to the configuration, hence in the folder that is mounted beside it.
  assert.deepEqual(patterns, ['rules/*.yml'])
  assert.ok(volumes.includes('./docker/prometheus/rules:/etc/prometheus/rules:ro'))
  assert.ok(existsSync(join(projectFolder(), 'docker/prometheus/rules/bulkhead.yml')))
})

test('Grafana finds Prometheus and the dashboard where its provisioning says', () => {
  const { volumes = [], networks = [] } = compose.services['grafana'] as Service
  const { datasources } = parse(read('docker/grafana/datasources/prometheus.yml')) as {
    readonly datasources: readonly { readonly url: string; readonly jsonData: { timeInterval: string } }[]
  }
  const [source] = datasources
  const { hostname, port } = new URL(source?.url ?? '')
  const target = compose.services[hostname] as Service
  assert.ok(target.ports?.some((published) => published.endsWith(`:${port}`)))
  assert.ok(target.networks?.some((network) => networks.includes(network)))
  const { global } = parse(read('docker/prometheus/prometheus.yml')) as {
    readonly global: { readonly scrape_interval: string }
  }
  assert.equal(source?.jsonData.timeInterval, global.scrape_interval)

  const { providers } = parse(read('docker/grafana/dashboards/provider.yml')) as {
    readonly providers: readonly { readonly options: { readonly path: string } }[]
  }
  const folder = providers[0]?.options.path
  assert.ok(volumes.includes(`./docker/grafana/dashboards/bulkhead.json:${folder}/bulkhead.json:ro`))
  assert.ok(volumes.some((volume) => volume.includes(':/etc/grafana/provisioning/dashboards/')))
  assert.ok(volumes.includes('./docker/grafana/datasources:/etc/grafana/provisioning/datasources:ro'))
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
