/** What is done with a whole store is timed. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Harness, startHarness } from './harness.ts'
import { valuesAt } from './scrape.ts'
import { stagedTime, type StagedTime } from './staged-time.ts'

let time: StagedTime
let harness: Harness
let untilDefragmented: () => void
beforeEach(async () => {
  time = stagedTime()
  harness = await startHarness({
    environment: time,
    defragment: () =>
      new Promise((resolve) => {
        untilDefragmented = resolve
      }),
  })
})
afterEach(() => harness[Symbol.asyncDispose]())

const valuesOf = (...names: string[]): Promise<(number | undefined)[]> =>
  valuesAt(harness.address, ...names)

async function valueOf(name: string): Promise<number | undefined> {
  return (await valuesOf(name))[0]
}

const secondsOf = (name: string): Promise<(number | undefined)[]> =>
  valuesOf(`${name}_duration_seconds_count`, `${name}_duration_seconds_sum`)

describe('maintenance', () => {
  test('is timed, and what fails at once is not', async () => {
    await harness.client.call('Maintenance/Hash')
    expect(await secondsOf('etcd_mvcc_hash')).toEqual([1, 0])
    expect(await secondsOf('etcd_mvcc_hash_rev')).toEqual([0, 0])
    await harness.client.call('Maintenance/HashKV')
    await expect(harness.client.call('Maintenance/HashKV', { revision: 99 })).rejects.toThrow()
    expect(await secondsOf('etcd_mvcc_hash_rev')).toEqual([1, 0])
    await harness.client.stream('Maintenance/Snapshot')
    expect(await secondsOf('etcd_disk_backend_snapshot')).toEqual([1, 0])
  })

  test('a defragmentation is one, whoever else asks for it meanwhile', async () => {
    const all = [0, 1].map(() => harness.client.call('Maintenance/Defragment'))
    await expect.poll(() => valueOf('etcd_disk_defrag_inflight')).toBe(1)
    expect(await secondsOf('etcd_disk_backend_defrag')).toEqual([0, 0])
    await expect
      .poll(() =>
        valueOf(
          'grpc_server_started_total{grpc_method="Defragment",grpc_service="etcdserverpb.Maintenance",grpc_type="unary"}',
        ),
      )
      .toBe(2)
    time.advance(300)
    untilDefragmented()
    await Promise.all(all)
    expect(await secondsOf('etcd_disk_backend_defrag')).toEqual([1, 0.3])
    expect(await valueOf('etcd_disk_defrag_inflight')).toBe(0)
  })

  test('a snapshot that is read is a transaction that reads', async () => {
    const open = 'etcd_mvcc_db_open_read_transactions'
    for await (const _ of harness.stateMachine.snapshot()) {
      expect(await valueOf(open)).toBe(1)
      break
    }
    expect(await valueOf(open)).toBe(0)
  })

  test('a snapshot takes the place of all there was as long as it is read', async () => {
    const restoring = 'etcd_server_snapshot_apply_in_progress_total'
    let proceed = (): void => {}
    const held = new Promise<void>((resolve) => {
      proceed = resolve
    })
    const { stateMachine } = harness
    const chunks = stateMachine.snapshot()
    const restored = stateMachine.restore(
      (async function* () {
        await held
        yield* chunks
      })(),
    )
    expect(await valueOf(restoring)).toBe(1)
    proceed()
    await restored
    expect(await valueOf(restoring)).toBe(0)
  })
})
