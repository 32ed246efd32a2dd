import { describe, expect, test } from 'vitest'
import { parseCommandLine, type Settings } from '../src/flags.ts'

interface Parsed {
  readonly settings: Settings
  readonly warnings: readonly string[]
}

function parse(args: readonly string[], env: Record<string, string> = {}): Parsed {
  const line = parseCommandLine(args, env)
  if (line.type !== 'run') throw new Error(`not a run but ${line.type}`)
  return line
}

describe("etcd's flags", () => {
  test('what is not given has the default of etcd', () => {
    expect(parse([]).settings).toMatchObject({
      name: 'default',
      'listen-client-urls': 'http://localhost:2379',
      'listen-peer-urls': 'http://localhost:2380',
      'initial-cluster-state': 'new',
      'initial-cluster-token': 'etcd-cluster',
      'heartbeat-interval': 100,
      'election-timeout': 1000,
      'snapshot-count': 10_000,
      'max-request-bytes': 1_572_864,
      'max-txn-ops': 128,
      'pre-vote': true,
      'unsafe-no-fsync': false,
      'log-level': 'info',
      'log-format': 'json',
      'peer-transport': 'tcp',
    })
  })

  test('a value follows after a space or an equals sign, and the flag has one dash or two', () => {
    for (const args of [['--name', 'm1'], ['--name=m1'], ['-name', 'm1'], ['-name=m1']])
      expect(parse(args).settings.name).toBe('m1')
  })

  test('a switch stands alone, or says true or false', () => {
    expect(parse(['--unsafe-no-fsync']).settings['unsafe-no-fsync']).toBe(true)
    expect(parse(['--unsafe-no-fsync', '--name', 'x']).settings['unsafe-no-fsync']).toBe(true)
    expect(parse(['--pre-vote=false']).settings['pre-vote']).toBe(false)
    expect(parse(['--pre-vote=true']).settings['pre-vote']).toBe(true)
    expect(() => parse(['--pre-vote=perhaps'])).toThrow('must be true or false')
  })

  test('true and false may be said in every way that Go knows', () => {
    for (const text of ['1', 't', 'T', 'true', 'True', 'TRUE'])
      expect(parse([], { ETCD_UNSAFE_NO_FSYNC: text }).settings['unsafe-no-fsync']).toBe(true)
    for (const text of ['0', 'f', 'F', 'false', 'False', 'FALSE'])
      expect(parse([`--pre-vote=${text}`]).settings['pre-vote']).toBe(false)
    for (const text of ['yes', 'on', 'tRUE', ' true', '10'])
      expect(() => parse([`--pre-vote=${text}`])).toThrow('must be true or false')
    expect([...parse(['--feature-gates=AllAlpha=1']).settings['feature-gates']]).toEqual([
      ['AllAlpha', true],
    ])
  })

  test('every flag is a variable, too, and the flag wins and says so', () => {
    const env = { ETCD_NAME: 'from-env', ETCD_HEARTBEAT_INTERVAL: '50' }
    expect(parse([], env).settings).toMatchObject({ name: 'from-env', 'heartbeat-interval': 50 })
    const { settings, warnings } = parse(['--name', 'from-flag'], env)
    expect(settings).toMatchObject({ name: 'from-flag', 'heartbeat-interval': 50 })
    expect(warnings).toEqual(['--name is used, and not ETCD_NAME'])
  })

  test('an empty variable is one that is not set', () => {
    expect(parse([], { ETCD_HEARTBEAT_INTERVAL: '', ETCD_NAME: '' }).settings).toMatchObject({
      name: 'default',
      'heartbeat-interval': 100,
    })
  })

  test('an unknown ETCD_ variable only warns', () => {
    const { warnings } = parse([], { ETCD_UNKNOWN_THING: '1', HOME: '/' })
    expect(warnings).toEqual(['unrecognized environment variable ETCD_UNKNOWN_THING'])
  })
})

describe('a command line that makes no sense is refused in one line', () => {
  test.each([
    [['--foo'], "unknown option '--foo'"],
    [['--foo=bar'], "unknown option '--foo=bar'"],
    [['extra'], 'too many arguments'],
    [['--name'], 'argument missing'],
    [['--heartbeat-interval', '0'], 'whole number from 1 to 10000'],
    [['--heartbeat-interval', '1e3'], 'whole number'],
    [['--snapshot-count=-1'], 'whole number of at least 0'],
    [['--corrupt-check-time=5'], 'must be a duration such as 30s'],
    [['--corrupt-check-time=597h'], 'must be a duration of at most 596h'],
    [['--max-request-bytes', '0x10'], 'whole number'],
    [['--quota-backend-bytes', '99999999999999999999'], 'whole number'],
    [['--log-level', 'loud'], 'must be debug, info, warn, error, panic or fatal'],
    [['--initial-cluster-state', 'old'], 'must be new or existing'],
    [['--peer-transport', 'pigeon'], 'must be tcp or grpc'],
  ])('%j', (args, message) => {
    const refusal = refusalOf(() => parse(args))
    expect(refusal).toContain(message)
    expect(refusal).not.toContain('\n')
  })

  test('a bad variable is named', () => {
    expect(refusalOf(() => parse([], { ETCD_ELECTION_TIMEOUT: 'x' }))).toBe(
      "ETCD_ELECTION_TIMEOUT: must be a whole number from 5 to 50000, not 'x'",
    )
  })
})

test('the help names every flag', () => {
  const line = parseCommandLine(['--help'], {})
  if (line.type !== 'help') throw new Error('no help')
  for (const name of Object.keys(parse([]).settings)) expect(line.text).toContain(`--${name} `)
  expect(line.text).toContain('ETCD_DATA_DIR')
})

test('the version is asked for by a flag', () => {
  expect(parseCommandLine(['--version'], {})).toEqual({ type: 'version' })
})

function refusalOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  throw new Error('it was not refused')
}
