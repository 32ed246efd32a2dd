import { figure, type Row } from '../report.ts'
import { type Generator, loadGenerator } from './load.ts'
import { isEtcdInstalled, type Servers, startEtcd, startOurs } from './servers.ts'
import { type Figure, type Trial, TRIALS, warmUp } from './trials.ts'

/**
 * etcd's API on three processes with fsync: ours, and beside it etcd where it is installed, in one
 * run and under the same load. Requests go to the leader. Trial by trial, one after the other, so
 * that a machine that has a bad minute has it for both.
 */
export async function benchEtcd(progress: (what: string) => void): Promise<readonly Row[]> {
  const generator = await loadGenerator()
  progress(`load by ${generator.name}; starting three members of each kind`)
  await using ours = await startOurs()
  await using etcd = (await isEtcdInstalled()) ? await startEtcd() : null
  progress('warming up: V8 compiles what runs often, and a server is rarely just started')
  for (const servers of etcd === null ? [ours] : [ours, etcd]) await warmUp(servers, generator)
  const rows: Row[] = []
  for (const trial of TRIALS) rows.push(await compare(trial, { ours, etcd, generator, progress }))
  return rows
}

interface Contest {
  readonly ours: Servers
  readonly etcd: Servers | null
  readonly generator: Generator
  readonly progress: (what: string) => void
}

async function compare(trial: Trial, { ours, etcd, generator, progress }: Contest): Promise<Row> {
  progress(`coracle: ${trial.what}`)
  const own = await trial.run(ours, generator)
  if (etcd === null) return { what: trial.what, ...own }
  progress(`etcd: ${trial.what}`)
  const theirs = await trial.run(etcd, generator)
  return { what: trial.what, ...own, note: noteOf(own, theirs) }
}

function noteOf(ours: Figure, theirs: Figure): string {
  const ratio = (ours.value / theirs.value).toFixed(2)
  const own = ours.note === undefined ? '' : `${ours.note}; `
  const their = theirs.note === undefined ? '' : `, ${theirs.note}`
  return `${own}etcd ${figure(theirs.value)} ${theirs.unit}${their}; **${ratio}**`
}
