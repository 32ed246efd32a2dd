/** What became of learners that were to vote, as the leader counts it. */
import { RaftError } from '@coracle/raft-core'
import { Counter, type Registry } from 'prom-client'
import * as errors from '../errors.ts'

export interface Promotions {
  /** The same promotion, counted unless this member turns out not to lead. */
  count<Answer>(promotion: Promise<Answer>): Promise<Answer>
}

export function promotionMetrics(registry: Registry): Promotions {
  const registers = [registry]
  const successes = new Counter({
    name: 'etcd_server_learner_promote_successes',
    help: 'Learners that vote now.',
    registers,
  })
  const failures = new Counter({
    name: 'etcd_server_learner_promote_failures',
    help: 'Promotions that came to nothing.',
    labelNames: ['Reason'],
    registers,
  })
  return {
    async count(promotion) {
      try {
        const answer = await promotion
        successes.inc()
        return answer
      } catch (error) {
        const Reason = reasonOf(error)
        if (Reason !== null) failures.inc({ Reason })
        throw error
      }
    },
  }
}

/** In etcd's words for itself, which are not always those for its clients. Null: another one leads. */
function reasonOf(error: unknown): string | null {
  if (error === errors.memberNotFound) return 'membership: ID not found'
  if (error === errors.notLearner) return 'membership: can only promote a learner member'
  if (error instanceof errors.EtcdError) return error.message
  if (error instanceof RaftError && error.code === 'NOT_LEADER') return null
  return errors.timeout.message
}
