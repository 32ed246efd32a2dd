/**
 * What leases must bear: the leader is cut off at the moment in which another can be elected the
 * soonest, while all that believe to lead are asked again and again.
 */
import type { Cluster } from './cluster.ts'
import type { Random } from './random.ts'
import { stopEverything } from './stop-everything.ts'

export interface UsurpationParts {
  readonly cluster: Cluster
  readonly random: Random
  /** The shortest election timeout, by a clock that runs as it should. */
  readonly electionMs: number
  /** Does something after a time, unless all trouble is over by then. */
  readonly later: (delayMs: number, run: () => void) => void
}

/** Cuts the leader off from everybody for a few election timeouts, after some preparation. */
export function usurp(parts: UsurpationParts): void {
  const { cluster, random, electionMs, later } = parts
  const [leader] = cluster.leaders
  const others = cluster.members.filter((id) => id !== leader && cluster.computer(id).isOn)
  if (leader === undefined || others.length < 2) return
  const usurper = random.pick(others)
  const cutOff = (): void => {
    cluster.befell('leader cut off')
    cluster.isolate(leader)
    // Those who have just answered the leader may forget that they did.
    if (random.chance(0.5))
      for (const id of others)
        if (id !== usurper) {
          cluster.crash(id)
          cluster.start(id)
        }
    later((1.5 + 2 * random.next()) * electionMs, () => cluster.heal())
  }
  if (random.chance(0.4)) {
    // The order to take over is the last that is heard of the old leader.
    cluster.transfer(usurper)
    later(random.exponential(electionMs / 20), cutOff)
  } else {
    // The usurper has not heard from the leader for long: it is ready as soon as the others are.
    cluster.tell(`no word passes between ${leader} and ${usurper}`)
    cluster.network.cut(leader, usurper)
    cluster.network.cut(usurper, leader)
    later((1 + random.next()) * electionMs, cutOff)
  }
}

/** Asks all that believe to lead for leave to read: none may know less than another has told. */
export function askLeaders(parts: UsurpationParts): void {
  const { cluster, random, electionMs, later } = parts
  for (const id of cluster.leaders) {
    const asked = cluster.computer(id).ask(
      'read',
      0,
      (node) => node.read(),
      (index) => ({ index, term: 0 }),
    )
    asked?.catch(stopEverything)
  }
  later(random.exponential(electionMs / 20), () => askLeaders(parts))
}
