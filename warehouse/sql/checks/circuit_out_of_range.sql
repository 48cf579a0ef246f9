-- One row per number of distilled circuits that cannot be: a share beyond 0 to 1, a circuit past its budget, too many nodes, weights that do not sum to 1.
select measurement_id, 'alignment' as what, alignment as value
from alignment
where alignment not between -1 and 1 or null_p not between 0 and 1
union all
select measurement_id, 'influence of ' || component, influence_max
from component
where
    influence_max not between 0 and 1
    or drop_pct not between 0 and 100
    or influence_raw < 0
union all
select measurement_id, 'mean drop', mean_drop_pct
from brittleness
where
    mean_drop_pct not between 0 and 100
    or gini_drop not between 0 and 1
    or share_over_20_pct > share_over_10_pct
union all
select measurement_id, 'completeness at ' || budget, completeness_pct
from circuit_size
where
    completeness_pct < 100 * (1 - budget) - 1e-6
    or n_heads > n_all_heads
    or n_mlps > n_all_mlps
union all
select size.measurement_id, 'nodes at ' || size.budget, count(node.component)
from circuit_size as size
left join circuit_node as node
    on size.measurement_id = node.measurement_id and size.budget = node.budget
group by size.measurement_id, size.budget, size.n_heads, size.n_mlps
having count(node.component) <> size.n_heads + size.n_mlps
union all
select edge.measurement_id, 'edge ' || edge.source || ' to ' || edge.destination, edge.delta_p_edge
from circuit_edge as edge
where edge.is_kept <> (-edge.delta_p_edge > 100 * edge.budget)
union all
select measurement_id, 'weights of ' || layer || '.' || head, list_sum(weights)
from attention_pattern
where abs(list_sum(weights) - 1) > 1e-3
union all
select measurement_id, 'prompts that say ' || token, n_first
from ov_token
where n_first not between 1 and n_prompts
union all
select measurement_id, 'similarity of MLPs ' || layer_teacher || ' and ' || layer_student, similarity
from mlp_similarity
where similarity not between -1e-9 and 1 + 1e-9
