"""When and where: Prefect flows and the `cicatrix` command; the only code that joins the others."""
