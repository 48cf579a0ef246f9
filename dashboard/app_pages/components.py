"""What did the student keep of its teacher's circuits? A mart of distilled circuits a view."""

import streamlit as st

from dashboard import address, circuit_views, controls, inside_views, live, picture_views
from dashboard.circuit_choice import ADDRESS, address_of, choices, choose
from dashboard.circuit_words import alone, kept, task_chip
from dashboard.words import instant

VIEWS = {
    "Components": circuit_views.components,
    "Brittleness": circuit_views.brittleness,
    "Alignment": circuit_views.alignment,
    "Circuit": circuit_views.circuit,
    "Patching": inside_views.patching,
    "Outputs": inside_views.outputs,
    "Pictures": picture_views.pictures,
    "Probes": inside_views.probes,
    "Noise": inside_views.noise,
}


def main() -> None:
    """Draw the page: the answer, then the view that is asked for."""
    st.title("What did the student keep of its teacher's circuits?")
    drawn = live.stamp("brittleness_model")
    found = choices()
    live.refresh_when_new("brittleness_model", drawn)
    if found.is_empty():
        live.invite(
            "No component has been ablated yet. Here a teacher's heads and MLPs would stand beside "
            "its student's: what each matters for a task, which are alike, how brittle both are, "
            "and which of them suffice.",
            [
                (
                    "Two embedded models, in a few minutes and without a GPU:",
                    "cicatrix circuits --teacher zoo:teacher-forward --students zoo:depth-student "
                    "--tasks numerals indirect-objects --with estimates circuits",
                ),
                (
                    "Models of your own, each a folder or a name on the hub:",
                    "cicatrix circuits --teacher TEACHER --students STUDENT --tasks numerals "
                    "--with estimates circuits",
                ),
            ],
        )
        return
    answer = st.container()
    chosen = choose(found)
    view = st.segmented_control(
        "View", list(VIEWS), default="Components", required=True, key="view", bind="query-params"
    )
    if chosen.verdict is None:
        said = alone(chosen.models[0].row)
    else:
        said = kept(chosen.paper_variant(), chosen.verdict)
    answer.markdown(said, help=f"Measured {instant(chosen.measured_at())}")
    for model in chosen.models:
        answer.markdown(f"{model.whose.capitalize()}: {task_chip(model.row)}")
    VIEWS[view](chosen)
    address.write(address_of(chosen), ADDRESS)
    live.copy_link()
    controls.explain(__file__)


main()
