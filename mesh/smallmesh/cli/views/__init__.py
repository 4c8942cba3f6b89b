"""What commands show: answers, tasks, findings and tables, for people and for programs."""
